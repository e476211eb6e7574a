// SPDX-License-Identifier: MIT
/// \file
/// The result of a coroutine until it is taken: empty, a value (or reference, or void), or an exception.
/// `result_promise` is the promise that writes it. One thread at a time.
#pragma once

#include <again/core/detail/addressof.hpp>
#include <again/core/expected.hpp>

#include <cstdint>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

// <again/coro/detail/not_awaited.hpp> has them; whoever has a type of ours that was not awaited has included it.
template <class Self, class Result> class not_awaited;
template <class Self> consteval void explain_forgotten();

/// A `U` gives a `T` when it is awaited, and is none itself.
template <class U, class T>
concept forgotten = requires(const U& u) { []<class Self>(const not_awaited<Self, T>&) {}(u); };

struct void_result {};

enum class result_state : std::uint8_t { empty, value, exception };

/// `Base` has the member `result_state state_`, where the padding behind its other small members has room for it.
template <class T, class Base> class result_slot : public Base {
  using stored =
      std::conditional_t<std::is_void_v<T>, void_result,
                         std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, std::remove_cv_t<T>>>;

  using thrown = std::exception_ptr;

 public:
  result_slot() noexcept {}
  result_slot(const result_slot&) = delete;
  result_slot& operator=(const result_slot&) = delete;
  ~result_slot() {
    if (this->state_ == result_state::value) {
      value_.~stored();
    } else if (this->state_ == result_state::exception) {
      exception_.~thrown();
    }
  }

  template <class... U> void set(U&&... value) noexcept(std::is_nothrow_constructible_v<stored, U...>) {
    ::new (static_cast<void*>(address_of(value_))) stored(std::forward<U>(value)...);
    this->state_ = result_state::value;
  }
  void set_exception(std::exception_ptr error) noexcept {
    // There is a value if a destructor threw after the co_return.
    if (this->state_ == result_state::value) value_.~stored();
    ::new (static_cast<void*>(&exception_)) std::exception_ptr(std::move(error));
    this->state_ = result_state::exception;
  }

  std::exception_ptr exception() const noexcept {
    return this->state_ == result_state::exception ? exception_ : nullptr;
  }
  stored* peek() noexcept { return this->state_ == result_state::value ? &value_ : nullptr; }

  T take() {
    if (this->state_ == result_state::exception) std::rethrow_exception(std::move(exception_));
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else if constexpr (!std::is_void_v<T>) {
      return std::move(value_);
    }
  }

 private:
  union {
    stored value_;
    std::exception_ptr exception_;
  };
};

/// A promise's way to write its result.
template <class T, class Base> class result_promise : public result_slot<T, Base> {
 public:
  void unhandled_exception() noexcept { this->set_exception(std::current_exception()); }
  template <class U = T>
    requires std::is_convertible_v<U&&, T>
  void return_value(U&& value) {
    if constexpr (forgotten<std::remove_cvref_t<U>, T>) {
      explain_forgotten<T>();
    } else if constexpr (std::is_reference_v<T>) {
      this->set(address_of(value));
    } else {
      this->set(std::forward<U>(value));
    }
  }
};
template <class Base> class result_promise<void, Base> : public result_slot<void, Base> {
 public:
  void unhandled_exception() noexcept { this->set_exception(std::current_exception()); }
  void return_void() noexcept { this->set(); }
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
