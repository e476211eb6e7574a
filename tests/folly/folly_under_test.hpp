// SPDX-License-Identifier: MIT
/// \file
/// folly: the look-alike of tests/support, or the real one if `-Dfolly=PATH` names where it is installed.
#pragma once

#include <folly/CancellationToken.h>
#include <folly/coro/Baton.h>
#include <folly/coro/BlockingWait.h>
#include <folly/coro/Collect.h>
#include <folly/coro/Task.h>
#include <folly/coro/WithCancellation.h>
#include <folly/executors/CPUThreadPoolExecutor.h>
