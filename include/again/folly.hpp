// SPDX-License-Identifier: MIT
/// \file
/// Awaits from coroutines of folly, and theirs from ours: see docs/interop.md.
#pragma once

#include <again/folly/await_task.hpp>
#include <again/folly/library.hpp>
#include <again/folly/with_cancellation.hpp>
