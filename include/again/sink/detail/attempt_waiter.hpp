// SPDX-License-Identifier: MIT
/// \file
/// `attempt_waiter` and `attempt_permit`: an attempt waits for the right to be sent, and holds it while it is under way. The
/// `dispatcher` gives the permits. One loop, one thread.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/intrusive_list.hpp>
#include <again/core/stop_reason.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/stoppable_wait.hpp>
#include <again/policy/verdict.hpp>
#include <again/protection/breaker.hpp>
#include <again/sink/detail/rotation.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class dispatcher;

/// The right to make one attempt at one endpoint. It is told the outcome once, or is destroyed without one; either frees its place.
class [[nodiscard]] attempt_permit {
 public:
  attempt_permit() noexcept = default;
  attempt_permit(attempt_permit&& other) noexcept
      : from_{std::exchange(other.from_, nullptr)}, at_{other.at_}, outcome_{std::move(other.outcome_)} {}
  attempt_permit& operator=(attempt_permit&& other) noexcept {
    if (this == &other) return *this;
    abandon();
    from_ = std::exchange(other.from_, nullptr);
    at_ = other.at_;
    outcome_ = std::move(other.outcome_);
    return *this;
  }
  ~attempt_permit() { abandon(); }

  explicit operator bool() const noexcept { return from_ != nullptr; }
  std::size_t at() const noexcept { return at_; }
  void succeeded() noexcept;
  /// `code`: the status of the response.
  void failed(const verdict& v, int code, std::string error) noexcept;
  void abandon() noexcept;

 private:
  friend class dispatcher;
  dispatcher* from_ = nullptr;
  std::size_t at_ = 0;
  breaker::permit outcome_;
};

/// What an attempt asks for.
struct attempt_request {
  std::size_t at = 0;                  ///< the endpoint, unless `rotating`
  const rotation* rotating = nullptr;  ///< any endpoint that it has not tried; outlives the wait
  bool retry = false;                  ///< a retry goes before first attempts
  duration patience =
      forever;  ///< of a first attempt: how long it waits where the endpoint is paused or its breaker is open
};

/// The result of the wait: a permit, or why there is none.
struct admitted {
  attempt_permit permit;
  stop_reason why{};
  explicit operator bool() const noexcept { return static_cast<bool>(permit); }
};

/// A startable. Destroyed while it waits, it leaves the line; with a permit that was not taken, it gives it back.
class [[nodiscard]] attempt_waiter {
 public:
  using result_type = admitted;

  attempt_waiter(dispatcher& from, const attempt_request& asks) noexcept : from_{from}, asks_{asks} {}
  attempt_waiter(const attempt_waiter&) = delete;
  attempt_waiter& operator=(const attempt_waiter&) = delete;
  ~attempt_waiter();
  auto operator co_await() && noexcept { return startable_awaiter<attempt_waiter>{*this}; }

  bool start(continuation k, const context& ctx) noexcept;
  const attempt_request& asks() const noexcept { return asks_; }
  time_point waits_since() const noexcept { return since_; }
  result_type take() noexcept { return std::move(result_); }
  static std::exception_ptr exception() noexcept { return nullptr; }

 private:
  friend class dispatcher;
  friend class intrusive_list<attempt_waiter>;
  static void woken(void* p) noexcept;

  dispatcher& from_;
  const attempt_request asks_;
  bool in_line_ = false;
  time_point since_{};        // it waits in a line
  time_point until_ = never;  // of its wait
  admitted result_;
  continuation k_;
  const context* context_ = nullptr;
  stoppable_wait wait_;
  attempt_waiter* next = nullptr;
  attempt_waiter* previous = nullptr;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
