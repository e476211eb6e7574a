// SPDX-License-Identifier: MIT
/// \file
/// Where a coroutine's result waits to be taken: nothing yet, a value (or reference, or void), or an exception.
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

struct void_result {};

enum class result_states : std::uint8_t { empty, value, exception };

/// Where a slot that stands alone keeps its state.
struct result_state {
  result_states state_ = result_states::empty;
};

/// `Base` has a `state_`: a promise has room for it behind its other small members.
template <class T, class Base = result_state> class result_slot : public Base {
  using states = result_states;
  using stored =
      std::conditional_t<std::is_void_v<T>, void_result,
                         std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, std::remove_cv_t<T>>>;

  using thrown = std::exception_ptr;

 public:
  result_slot() noexcept {}
  result_slot(const result_slot&) = delete;
  result_slot& operator=(const result_slot&) = delete;
  ~result_slot() {
    if (this->state_ == states::value) {
      value_.~stored();
    } else if (this->state_ == states::exception) {
      exception_.~thrown();
    }
  }

  template <class... U> void set(U&&... value) noexcept(std::is_nothrow_constructible_v<stored, U...>) {
    ::new (static_cast<void*>(address_of(value_))) stored(std::forward<U>(value)...);
    this->state_ = states::value;
  }
  void set_exception(std::exception_ptr error) noexcept {
    if (this->state_ == states::value) value_.~stored();  // the coroutine threw after its co_return, in a destructor
    ::new (static_cast<void*>(&exception_)) std::exception_ptr(std::move(error));
    this->state_ = states::exception;
  }

  std::exception_ptr exception() const noexcept { return this->state_ == states::exception ? exception_ : nullptr; }
  stored* peek() noexcept { return this->state_ == states::value ? &value_ : nullptr; }

  T take() {
    if (this->state_ == states::exception) std::rethrow_exception(std::move(exception_));
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

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
