// SPDX-License-Identifier: MIT
/// \file
/// libcoro: the look-alike, or the real one if `-Dlibcoro=PATH` names where it is installed.
#pragma once

#if defined(AGAIN_TEST_LIBCORO)
#include <coro/sync_wait.hpp>
#include <coro/task.hpp>
#include <coro/thread_pool.hpp>
#include <coro/when_all.hpp>
#else
#include "support/libcoro_lookalike.hpp"
#endif
