// SPDX-License-Identifier: MIT
/// \file
/// For tests of code that retries: a scripted operation ("expect a call, give this outcome") that remembers when it was called.
///
/// ```cpp
/// again::virtual_clock time;
/// again::run_loop loop{time, 42};
/// again::testing::script<int, error> peer{error::stopped};           // what a call gives that is asked to stop
/// peer.fails(error::reset).takes(30ms).fails(error::busy).gives(42);
/// auto response = again::sync_wait(loop, again::retry(p, std::ref(peer)));
/// CHECK(peer.complaint({100ms, 200ms}) == "");                       // every outcome was used, with exactly these waits between
/// ```
///
/// - A call that is not in the script throws `std::logic_error`, which ends the retry and the test.
/// - A call that takes time, or hangs, ends with the error for stopped calls as soon as stop is requested, unless it is
///   `deaf`. Under `virtual_clock` no time is lost.
/// - Lifetime: outlives everything that calls it. Thread: one loop.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/stoppable_wait.hpp>
#include <again/policy/explain.hpp>

#include <exception>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace testing {

/// A call as it happened.
struct call_record {
  time_point began{};
  time_point ended = never;    ///< `never`: it has not, or was destroyed before
  bool stopped = false;        ///< it ended because stop was requested
  bool repeated = false;       ///< it ran inside a repeated attempt
  duration allowed = forever;  ///< until the deadline in its context
};

template <class T, class E> class script {
 public:
  using result_type = expected<T, E>;
  class call;

  explicit script(E when_stopped) : when_stopped_(std::move(when_stopped)) {}
  script(const script&) = delete;
  script& operator=(const script&) = delete;
  ~script() = default;

  /// The next expected call gives a value.
  template <class... U> script& gives(U&&... value) {
    if constexpr (std::is_void_v<T>) {
      steps_.push_back({.outcome = result_type()});
    } else {
      steps_.push_back({.outcome = result_type(T(std::forward<U>(value)...))});
    }
    return *this;
  }
  /// … fails.
  script& fails(E error) {
    steps_.push_back({.outcome = result_type(unexpect, std::move(error))});
    return *this;
  }
  /// … throws.
  template <class X> script& throws(X exception) {
    steps_.push_back({.thrown = std::make_exception_ptr(std::move(exception))});
    return *this;
  }
  /// … does not end unless it is asked to stop.
  script& hangs() {
    steps_.push_back({.takes = forever});
    return *this;
  }
  /// The call added last takes so long.
  script& takes(duration_with_unit time) {
    steps_.at(steps_.size() - 1).takes = time;
    return *this;
  }
  /// The call added last does not listen to stop requests.
  script& deaf() {
    steps_.at(steps_.size() - 1).deaf = true;
    return *this;
  }
  /// May its operation be sent twice? What `is_repeatable` then says.
  script& once_only() {
    repeatable_ = false;
    return *this;
  }
  bool repeatable() const noexcept { return repeatable_; }

  /// One start; give `std::ref(script)` to a combinator.
  call operator()() {
    if (calls_.size() >= steps_.size()) {
      throw std::logic_error{"again::testing::script: call " + std::to_string(calls_.size() + 1) + " was not expected"};
    }
    calls_.emplace_back();
    return call{*this, calls_.size() - 1};
  }

  const std::vector<call_record>& calls() const noexcept { return calls_; }
  /// From the end of each call to the beginning of the next.
  std::vector<duration> waits() const {
    std::vector<duration> all;
    for (std::size_t i = 1; i < calls_.size(); ++i) all.push_back(calls_[i].began - calls_[i - 1].ended);
    return all;
  }
  /// Empty if every expected call was made, with exactly these waits between them; else what differs.
  std::string complaint(std::initializer_list<duration> waits_expected) const {
    if (calls_.size() != steps_.size()) {
      return std::to_string(calls_.size()) + " calls instead of " + std::to_string(steps_.size());
    }
    const std::vector<duration> made = waits();
    if (made == std::vector<duration>(waits_expected)) return {};
    std::string text = "waits:";
    for (const duration d : made) text += ' ' + to_string(d);
    text += "; expected:";
    for (const duration d : waits_expected) text += ' ' + to_string(d);
    return text;
  }

 private:
  struct step {
    std::optional<result_type> outcome{};
    std::exception_ptr thrown{};
    duration takes{};
    bool deaf = false;
  };
  std::vector<step> steps_;
  std::vector<call_record> calls_;
  E when_stopped_;
  bool repeatable_ = true;
};

/// A running call: a startable.
template <class T, class E> class [[nodiscard]] script<T, E>::call {
 public:
  using result_type = script::result_type;

  call(script& owner, std::size_t index) noexcept : owner_{owner}, index_{index} {}
  call(const call&) = delete;
  call& operator=(const call&) = delete;
  ~call() = default;
  auto operator co_await() && noexcept { return again::detail::startable_awaiter<call>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    const step& s = owner_.steps_[index_];
    call_record& r = owner_.calls_[index_];
    r.began = ctx.scheduler->now();
    r.repeated = ctx.repeated;
    if (ctx.deadline != never) r.allowed = ctx.deadline - r.began;
    const bool stopped = !s.deaf && ctx.stop.stop_requested();
    if (stopped || s.takes == duration::zero()) {
      end(r.began, stopped);
      return true;
    }
    k_ = k;
    scheduler_ = ctx.scheduler;
    const time_point until = s.takes == forever ? never : saturating_add(r.began, s.takes);
    wait_.begin(ctx, until, {&call::wait_over, this}, !s.deaf);
    return false;
  }
  std::exception_ptr exception() noexcept { return stopped_ ? nullptr : owner_.steps_[index_].thrown; }
  result_type take() {
    if (stopped_) return result_type(unexpect, owner_.when_stopped_);
    if (owner_.steps_[index_].thrown) std::rethrow_exception(owner_.steps_[index_].thrown);
    return *owner_.steps_[index_].outcome;
  }

 private:
  void end(time_point now, bool by_stop) noexcept {
    owner_.calls_[index_].ended = now;
    owner_.calls_[index_].stopped = stopped_ = by_stop;
  }
  static void wait_over(void* p) noexcept {
    call& self = *static_cast<call*>(p);
    self.end(self.scheduler_->now(), self.wait_.ended() == again::detail::wait_end::stopped);
    self.k_();
  }

  script& owner_;
  std::size_t index_;
  bool stopped_ = false;
  continuation k_;
  scheduler* scheduler_ = nullptr;
  again::detail::stoppable_wait wait_;
};

}  // namespace testing
}  // namespace AGAIN_ABI
}  // namespace again
