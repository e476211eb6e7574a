// SPDX-License-Identifier: MIT
/// \file
/// One run of a fallback: the operation, and if it fails its substitute.
#pragma once

#include <again/combinator/order_rules.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/operation.hpp>

#include <concepts>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

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

/// True for every failure.
struct any_failure {
  template <class E> constexpr bool operator()(const E&) const noexcept { return true; }
};

template <class Op, class Instead, class When> struct fallback_parts {
  Op op;
  Instead instead;
  [[no_unique_address]] When when;
};

/// What both kinds share: starts the operation and looks at its result. `Run` derives from it and has `bool failed(error&)`,
/// which may throw and returns true if the run is over.
template <class Run, class Op, class Instead, class When> class fallback_first {
 public:
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<Run>{static_cast<Run&>(*this)}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    return first_.start(parts_.op, {&fallback_first::first_done, this}, ctx) && inspect();
  }

 protected:
  ~fallback_first() = default;

  // The first one's outcome, when there is no substitute.
  std::exception_ptr first_exception() noexcept { return thrown_ ? thrown_ : first_.exception(); }
  template <class Result> Result take_first() {
    if (thrown_) std::rethrow_exception(thrown_);
    if (result_ == nullptr) std::rethrow_exception(first_.exception());
    if (!result_->has_value()) {
      if constexpr (std::constructible_from<typename Result::error_type, op_error<Op>>)
        return Result(unexpect, typename Result::error_type(std::move(result_->error())));
    }
    if constexpr (std::is_void_v<op_value<Op>>) {
      return Result();
    } else {
      return Result(*std::move(*result_));
    }
  }

  fallback_parts<Op, Instead, When>& parts_;
  continuation k_;
  const context* ctx_ = nullptr;
  result_view<Op> first_;
  typename result_view<Op>::result_type* result_ = nullptr;
  std::exception_ptr thrown_;

 private:
  friend Run;  // only `Run` makes one
  explicit fallback_first(fallback_parts<Op, Instead, When>& parts) noexcept : parts_{parts} {}
  fallback_first(const fallback_first&) = delete;
  fallback_first& operator=(const fallback_first&) = delete;

  static void first_done(void* p) noexcept {
    fallback_first& self = *static_cast<fallback_first*>(p);
    if (self.inspect()) self.k_();
  }
  bool inspect() noexcept {
    try {
      result_ = first_.inspect();
      if (result_ == nullptr || result_->has_value() || !parts_.when(std::as_const(result_->error()))) return true;
      return static_cast<Run*>(this)->failed(result_->error());
    } catch (...) {
      thrown_ = std::current_exception();
      return true;
    }
  }
};

/// The substitute is an operation.
template <class Op, class Instead, class When>
class fallback_run : public fallback_first<fallback_run<Op, Instead, When>, Op, Instead, When> {
  using base = fallback_first<fallback_run, Op, Instead, When>;

 public:
  using result_type = operation_result_t<Instead>;
  explicit fallback_run(fallback_parts<Op, Instead, When>& parts) noexcept : base{parts} {}

  std::exception_ptr exception() noexcept { return fell_back_ ? second_.exception() : this->first_exception(); }
  result_type take() { return fell_back_ ? second_.take() : this->template take_first<result_type>(); }

 private:
  friend base;
  bool failed(op_error<Op>&) noexcept {
    this->result_ = nullptr;
    this->first_.reset();
    fell_back_ = true;
    return second_.start(this->parts_.instead, this->k_, *this->ctx_);
  }
  bool fell_back_ = false;
  attempt_slot<Instead> second_;
};

/// The substitute is a value, or a function that makes one.
template <class Op, class Instead, class When>
  requires(!operation<Instead>)
class fallback_run<Op, Instead, When> : public fallback_first<fallback_run<Op, Instead, When>, Op, Instead, When> {
  using base = fallback_first<fallback_run, Op, Instead, When>;

 public:
  using result_type = operation_result_t<Op>;
  explicit fallback_run(fallback_parts<Op, Instead, When>& parts) noexcept : base{parts} {}

  std::exception_ptr exception() noexcept { return substitute_ ? nullptr : this->first_exception(); }
  result_type take() { return substitute_ ? *std::move(substitute_) : this->template take_first<result_type>(); }

 private:
  friend base;
  bool failed(op_error<Op>& e) {
    if (this->ctx_->stop.stop_requested()) return true;
    if constexpr (std::is_void_v<op_value<Op>>) {
      if constexpr (std::is_void_v<substitute_t<Instead, op_error<Op>>>) call_with(this->parts_.instead, e);
      substitute_.emplace();
    } else {
      op_value<Op> value = call_with(this->parts_.instead, std::as_const(e));
      substitute_.emplace(std::move(value));
    }
    return true;
  }
  std::optional<result_type> substitute_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
