// SPDX-License-Identifier: MIT
/// \file
/// One run of a fallback: the operation, and if it fails its substitute.
#pragma once

#include <again/awaitable.hpp>
#include <again/detail/attempt_slot.hpp>
#include <again/detail/nonsense.hpp>
#include <again/operation.hpp>

#include <concepts>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace again::inline AGAIN_ABI::detail {

template <class Op> using op_value = typename expected_parts<operation_result_t<Op>>::value;
template <class Op> using op_error = typename expected_parts<operation_result_t<Op>>::error;

template <class F, class E> decltype(auto) call_with(F& f, const E& error) {
  if constexpr (std::invocable<F&, const E&>) {
    return f(error);
  } else if constexpr (std::invocable<F&>) {
    return f();
  } else {
    return (f);
  }
}
template <class F, class E> using substitute_t = decltype(call_with(std::declval<F&>(), std::declval<const E&>()));

template <class Instead, class Op>
concept substitutes =
    (fallible_operation<Instead> && requires { requires std::same_as<op_value<Instead>, op_value<Op>>; }) ||
    (!operation<Instead> && (std::convertible_to<substitute_t<Instead, op_error<Op>>, op_value<Op>> ||
                             (std::is_void_v<op_value<Op>> && std::is_void_v<substitute_t<Instead, op_error<Op>>>)));

/// The substitute is an operation.
template <class Op, class Instead> class fallback_run {
  using view = result_view<Op>;

 public:
  using result_type = operation_result_t<Instead>;

  fallback_run(Op& op, Instead& instead) noexcept : op_{op}, instead_{instead} {}
  fallback_run(const fallback_run&) = delete;
  fallback_run& operator=(const fallback_run&) = delete;
  ~fallback_run() = default;
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<fallback_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    return first_.start(op_, {&fallback_run::first_done, this}, ctx) && settle();
  }
  std::exception_ptr exception() noexcept {
    return thrown_ ? thrown_ : fell_back_ ? second_.exception() : first_.exception();
  }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    if (fell_back_) return second_.take();
    if (result_ == nullptr) std::rethrow_exception(first_.exception());
    if constexpr (std::is_void_v<op_value<Op>>) {
      return result_type();
    } else {
      return result_type(*std::move(*result_));
    }
  }

 private:
  static void first_done(void* p) noexcept {
    fallback_run& self = *static_cast<fallback_run*>(p);
    if (self.settle()) self.k_();
  }
  // True: it is over.
  bool settle() noexcept {
    try {
      result_ = first_.look();
      if (result_ == nullptr || result_->has_value()) return true;
    } catch (...) {
      thrown_ = std::current_exception();
      return true;
    }
    result_ = nullptr;
    first_.reset();
    fell_back_ = true;
    return second_.start(instead_, k_, *ctx_);
  }

  Op& op_;
  Instead& instead_;
  continuation k_;
  const context* ctx_ = nullptr;
  typename view::result_type* result_ = nullptr;
  std::exception_ptr thrown_;
  bool fell_back_ = false;
  view first_;
  attempt_slot<Instead> second_;
};

/// The substitute is a value, or a function that makes one.
template <class Op, class Instead>
  requires(!operation<Instead>)
class fallback_run<Op, Instead> {
 public:
  using result_type = operation_result_t<Op>;

  fallback_run(Op& op, Instead& instead) noexcept : op_{op}, instead_{instead} {}
  fallback_run(const fallback_run&) = delete;
  fallback_run& operator=(const fallback_run&) = delete;
  ~fallback_run() = default;
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<fallback_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    if (!first_.start(op_, {&fallback_run::first_done, this}, ctx)) return false;
    settle();
    return true;
  }
  std::exception_ptr exception() noexcept { return thrown_; }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    return *std::move(result_);
  }

 private:
  static void first_done(void* p) noexcept {
    fallback_run& self = *static_cast<fallback_run*>(p);
    self.settle();
    self.k_();
  }
  void settle() noexcept {
    thrown_ = first_.exception();
    if (thrown_) return;
    try {
      result_.emplace(first_.take());
      if (result_->has_value() || ctx_->stop.stop_requested()) return;
      if constexpr (std::is_void_v<op_value<Op>>) {
        if constexpr (std::is_void_v<substitute_t<Instead, op_error<Op>>>) call_with(instead_, result_->error());
        result_.emplace();
      } else {
        op_value<Op> substitute = call_with(instead_, result_->error());
        result_.emplace(std::move(substitute));
      }
    } catch (...) { thrown_ = std::current_exception(); }
  }

  Op& op_;
  Instead& instead_;
  continuation k_;
  const context* ctx_ = nullptr;
  std::exception_ptr thrown_;
  std::optional<result_type> result_;
  attempt_slot<Op> first_;
};

}  // namespace again::inline AGAIN_ABI::detail
