// SPDX-License-Identifier: MIT
/// \file
/// All of again but HTTP: policies, retry, task, sync_wait and what goes with them (floors 0 to 3). Needs the standard library
/// alone. For HTTP include `<again/http.hpp>`, for fmt `<again/format/core.hpp>`.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/core/random.hpp>
#include <again/core/stop_reason.hpp>
#include <again/core/stop_token.hpp>
#include <again/core/version.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/context.hpp>
#include <again/coro/default_loop.hpp>
#include <again/coro/operation.hpp>
#include <again/coro/repeatable.hpp>
#include <again/coro/run_loop.hpp>
#include <again/coro/scheduler.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/coro/when_all.hpp>
#include <again/coro/when_any.hpp>
#include <again/policy/backoff.hpp>
#include <again/policy/decide.hpp>
#include <again/policy/explain.hpp>
#include <again/policy/failure.hpp>
#include <again/policy/jitter.hpp>
#include <again/policy/live_policy.hpp>
#include <again/policy/policy.hpp>
#include <again/policy/verdict.hpp>
#include <again/protection/adaptive_rate.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/budget.hpp>
#include <again/protection/fallback.hpp>
#include <again/protection/guard.hpp>
#include <again/protection/hedge.hpp>
#include <again/protection/latency.hpp>
#include <again/protection/limit.hpp>
#include <again/protection/pipe.hpp>
#include <again/protection/rate.hpp>
#include <again/protection/resilient.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>
