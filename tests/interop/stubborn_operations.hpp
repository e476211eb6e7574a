// SPDX-License-Identifier: MIT
/// \file
/// Operations that end only if stop, deadline and attempt number reach them. Nothing here measures time: what does not
/// arrive leaves a test that does not end in pretend time's order, or gives another number of sends.
#pragma once

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/policy/failure.hpp>
#include <again/policy/policy.hpp>

#include "support/trouble.hpp"

#include <atomic>
#include <chrono>
#include <thread>

namespace again_test {

using retried = again::expected<int, again::failure<trouble>>;

/// Fails at once, and counts.
struct failing {
  std::atomic<int>* sends;
  again::task<outcome> operator()() const {
    ++*sends;
    co_return fail(*sends);
  }
};

/// Waits for an hour, or until it is stopped. Says by `begun` that it waits.
struct waiting {
  std::atomic<bool>* begun;
  again::task<outcome> operator()() const {
    begun->store(true);
    begun->notify_all();
    (void)co_await again::sleep_for(std::chrono::hours{1});
    co_return (co_await again::get_stop_token()).stop_requested() ? aborted(1) : outcome{1};
  }
};

/// Gives its thread.
inline again::task<std::thread::id> which_thread() { co_return std::this_thread::get_id(); }

/// Four sends, without waits.
inline constexpr again::policy four_at_once{
    .attempts = 4, .backoff = again::constant(std::chrono::milliseconds{0}), .jitter = again::jitter::none};

/// Waits for an hour between attempts, without a bound of its own.
inline constexpr again::policy patient{.attempts = 4,
                                       .backoff = again::constant(std::chrono::hours{1}),
                                       .jitter = again::jitter::none,
                                       .attempt_timeout = std::chrono::hours{100},
                                       .deadline = std::chrono::hours{1000}};

}  // namespace again_test
