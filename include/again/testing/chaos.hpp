// SPDX-License-Identifier: MIT
/// \file
/// `chaos(how, operation)`, fault injection: an operation that is slow or fails at given rates, from a seed. For tests of the
/// code around it.
///
/// ```cpp
/// auto shaky = again::chaos({.faults = 0.2, .slow = 0.05, .latency = 2s, .seed = 42}, api.get("/quote"), [] { return reset(); });
/// auto quote = co_await again::retry(polite, shaky);
/// ```
///
/// - `fault()` makes the error of an injected failure; the operation is then not started. Latency comes before it is started.
/// - The same seed and the same number of starts give the same run. Copies share their stream: one sequence for all of them.
/// - A stop request ends an injected latency at once; the operation is then started and sees the request itself.
/// - Throws `std::invalid_argument` for shares outside 0 … 1. Not for production. Cost: an allocation when it is made.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/core/clock.hpp>
#include <again/core/random.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/bounded_operation.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/stoppable_wait.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>

#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

struct chaos_rules {
  double faults = 0;  ///< share of starts that fail
  double slow = 0;    ///< share of starts that wait first
  duration_with_unit latency =
      std::chrono::milliseconds{0};  ///< how long those wait: uniform between half of it and it
  std::uint64_t seed = 1;
};

namespace detail {

/// What happens to one start.
struct chaos_draw {
  bool fails;
  duration latency;
};

template <class Op, class Fault> class chaos_run {
 public:
  using result_type = operation_result_t<Op>;

  chaos_run(Op& op, Fault& fault, const chaos_draw& drawn) noexcept
      : op_{op}, fault_{fault}, fails_{drawn.fails}, latency_{drawn.latency} {}
  chaos_run(const chaos_run&) = delete;
  chaos_run& operator=(const chaos_run&) = delete;
  ~chaos_run() = default;
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<chaos_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    if (latency_ == duration::zero() || ctx.stop.stop_requested()) return go();
    wait_.begin(ctx, saturating_add(ctx.scheduler->now(), latency_), {&chaos_run::wait_over, this});
    return false;
  }
  std::exception_ptr exception() noexcept { return fails_ ? nullptr : slot_.exception(); }
  result_type take() {
    if (fails_) return result_type(unexpect, fault_());
    return slot_.take();
  }

 private:
  bool go() noexcept {
    if (fails_ && !ctx_->stop.stop_requested()) return true;
    fails_ = false;
    return slot_.start(op_, k_, *ctx_);
  }
  static void wait_over(void* p) noexcept {
    chaos_run& self = *static_cast<chaos_run*>(p);
    if (self.go()) self.k_();
  }
  Op& op_;
  Fault& fault_;
  bool fails_;
  duration latency_;
  continuation k_;
  const context* ctx_ = nullptr;
  stoppable_wait wait_;
  attempt_slot<Op> slot_;
};

}  // namespace detail

/// What `chaos` returns: awaitable, and an operation.
template <fallible_operation Op, class Fault> class [[nodiscard(
    "nothing runs until it is awaited: write co_await before it")]] chaos_operation
    : public detail::not_awaited<chaos_operation<Op, Fault>, operation_result_t<Op>>,
      public detail::has_bounds<chaos_operation<Op, Fault>> {
 public:
  using run_type = detail::chaos_run<Op, Fault>;
  chaos_operation(const chaos_rules& how, Op op, Fault fault)
      : how_{how},
        op_(std::move(op)),
        fault_(std::move(fault)),
        random_{std::make_shared<random_stream>(mix(how.seed))} {
    if (!(how.faults >= 0 && how.faults <= 1 && how.slow >= 0 && how.slow <= 1)) {
      throw std::invalid_argument{"again::chaos_rules: shares must be between 0 and 1"};
    }
    if (how.latency < duration::zero()) throw std::invalid_argument{"again::chaos_rules: latency must not be negative"};
  }
  run_type operator()() & { return run_type{op_, fault_, draw()}; }
  auto operator co_await() & { return detail::holding_awaiter<run_type>{std::in_place, op_, fault_, draw()}; }
  auto operator co_await() && { return detail::holding_awaiter<run_type>{std::in_place, op_, fault_, draw()}; }
  bool repeatable() const { return is_repeatable(op_); }

 private:
  detail::chaos_draw draw() noexcept {  // three draws, whatever they decide
    const bool fails = random_->draw() < how_.faults;
    const bool slow = random_->draw() < how_.slow;
    const duration latency = saturating_scale(how_.latency, 0.5 + 0.5 * random_->draw());
    return {fails, slow ? latency : duration::zero()};
  }
  chaos_rules how_;
  Op op_;
  Fault fault_;
  std::shared_ptr<random_stream> random_;
};

template <class Op, class Fault>
  requires fallible_operation<std::decay_t<Op>>
auto chaos(const chaos_rules& how, Op&& op, Fault&& fault) {
  using error = typename expected_parts<operation_result_t<std::decay_t<Op>>>::error;
  static_assert(std::is_invocable_r_v<error, std::decay_t<Fault>&>,
                "again::chaos: fault must be a function without parameters that returns the operation's error");
  return chaos_operation<detail::stored_t<Op>, detail::stored_t<Fault>>{how, std::forward<Op>(op),
                                                                        std::forward<Fault>(fault)};
}

// A mistake, told in one sentence.
template <class Wrong, class Fault>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto chaos(const chaos_rules&, Wrong&&, Fault&&) {
  detail::explain_misuse<std::decay_t<Wrong>>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
