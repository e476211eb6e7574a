// SPDX-License-Identifier: MIT
/// \file
/// One start of an operation whose end is counted: a value, a failure, an exception, or destruction. `Numbers`: `retry_metrics`.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/bounded_operation.hpp>
#include <again/coro/operation.hpp>
#include <again/policy/failure.hpp>

#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Op, class Numbers> class measured_run {
  using view = result_view<Op>;

 public:
  using result_type = typename view::result_type;

  measured_run(Numbers& numbers, Op& op) noexcept : numbers_{numbers}, op_{op} {}
  measured_run(const measured_run&) = delete;
  measured_run& operator=(const measured_run&) = delete;
  ~measured_run() {
    if (running_) numbers_.abandoned(took());
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<measured_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    home_ = ctx.scheduler;
    start_ = home_->now();
    numbers_.began();
    running_ = true;
    if (!run_.start(op_, {&measured_run::finished, this}, ctx)) return false;
    count();
    return true;
  }
  std::exception_ptr exception() noexcept { return thrown_ ? thrown_ : run_.exception(); }
  result_type take() {
    if (std::exception_ptr e = exception()) std::rethrow_exception(std::move(e));
    return std::move(*result_);
  }

 private:
  static void finished(void* p) noexcept {
    measured_run& self = *static_cast<measured_run*>(p);
    self.count();
    self.k_();
  }
  duration took() const noexcept { return home_->now() - start_; }
  void count() noexcept {
    running_ = false;
    try {
      result_ = run_.inspect();
    } catch (...) { thrown_ = std::current_exception(); }
    if (result_ == nullptr) return numbers_.threw(took());
    if (result_->has_value()) return numbers_.succeeded(took());
    if constexpr (requires { stop_reason{result_->error().reason()}; }) {
      numbers_.failed(result_->error().reason(), took());
    } else {
      numbers_.failed_otherwise(took());
    }
  }

  Numbers& numbers_;
  Op& op_;
  continuation k_;
  scheduler* home_ = nullptr;
  time_point start_;
  bool running_ = false;
  result_type* result_ = nullptr;
  std::exception_ptr thrown_;
  view run_;
};

template <class Op, class Numbers>
class [[nodiscard]] measured_operation : public has_bounds<measured_operation<Op, Numbers>> {
 public:
  measured_operation(Numbers& numbers, Op op) : numbers_{&numbers}, op_(std::move(op)) {}
  auto operator()() { return measured_run<Op, Numbers>{*numbers_, op_}; }
  auto operator co_await() { return holding_awaiter<measured_run<Op, Numbers>>{std::in_place, *numbers_, op_}; }
  bool repeatable() const { return is_repeatable(op_); }

 private:
  Numbers* numbers_;
  Op op_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
