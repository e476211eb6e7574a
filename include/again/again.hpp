// SPDX-License-Identifier: MIT
/// \file
/// All of again but HTTP: policies, retry, task, sync_wait and what goes with them (floors 0 to 3). Needs the standard library
/// alone. For HTTP include `<again/http.hpp>`, for fmt `<again/format.hpp>`.
#pragma once

#include <again/adaptive_rate.hpp>
#include <again/awaitable.hpp>
#include <again/backoff.hpp>
#include <again/breaker.hpp>
#include <again/budget.hpp>
#include <again/clock.hpp>
#include <again/context.hpp>
#include <again/decide.hpp>
#include <again/expected.hpp>
#include <again/explain.hpp>
#include <again/failure.hpp>
#include <again/fallback.hpp>
#include <again/guard.hpp>
#include <again/hedge.hpp>
#include <again/jitter.hpp>
#include <again/latency.hpp>
#include <again/limit.hpp>
#include <again/live_policy.hpp>
#include <again/operation.hpp>
#include <again/pipe.hpp>
#include <again/policy.hpp>
#include <again/random.hpp>
#include <again/rate.hpp>
#include <again/repeatable.hpp>
#include <again/resilient.hpp>
#include <again/retry.hpp>
#include <again/run_loop.hpp>
#include <again/scheduler.hpp>
#include <again/scope.hpp>
#include <again/sleep.hpp>
#include <again/stop_reason.hpp>
#include <again/stop_token.hpp>
#include <again/sync_wait.hpp>
#include <again/task.hpp>
#include <again/this_context.hpp>
#include <again/timeout.hpp>
#include <again/verdict.hpp>
#include <again/version.hpp>
#include <again/virtual_clock.hpp>
#include <again/when_all.hpp>
#include <again/when_any.hpp>
