// SPDX-License-Identifier: MIT
/// \file
/// cppcoro: the look-alike, or the real one if `-Dcppcoro=PATH` names where it is installed.
#pragma once

#if defined(AGAIN_TEST_CPPCORO)
#include <cppcoro/async_scope.hpp>
#include <cppcoro/cancellation_registration.hpp>
#include <cppcoro/cancellation_source.hpp>
#include <cppcoro/cancellation_token.hpp>
#include <cppcoro/resume_on.hpp>
#include <cppcoro/schedule_on.hpp>
#include <cppcoro/static_thread_pool.hpp>
#include <cppcoro/sync_wait.hpp>
#include <cppcoro/task.hpp>
#include <cppcoro/when_all.hpp>
#else
#include "support/cppcoro_lookalike.hpp"
#endif
