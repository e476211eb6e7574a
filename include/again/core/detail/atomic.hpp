// SPDX-License-Identifier: MIT
/// \file
/// `std::atomic` as far as it is needed here. g++ and clang document the operations that it is made of; with them a file that
/// includes a combinator need not read <atomic>, which is mostly waiting, references and floating point.
#pragma once

#include <again/core/expected.hpp>

#if !defined(__GNUC__)
#include <atomic>
#endif

namespace again::inline AGAIN_ABI::detail {

#if defined(__GNUC__)

enum class order : int {
  relaxed = __ATOMIC_RELAXED,
  acquire = __ATOMIC_ACQUIRE,
  release = __ATOMIC_RELEASE,
  acq_rel = __ATOMIC_ACQ_REL,
};

template <class T> class atomic {
 public:
  constexpr atomic() noexcept = default;
  constexpr atomic(T value) noexcept : value_{value} {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;
  ~atomic() = default;

  [[gnu::always_inline]] T load(order o) const noexcept {
    T seen;
    __atomic_load(&value_, &seen, static_cast<int>(o));
    return seen;
  }
  [[gnu::always_inline]] void store(T value, order o) noexcept { __atomic_store(&value_, &value, static_cast<int>(o)); }
  [[gnu::always_inline]] T exchange(T value, order o) noexcept {
    T before;
    __atomic_exchange(&value_, &value, &before, static_cast<int>(o));
    return before;
  }
  [[gnu::always_inline]] bool compare_exchange_weak(T& seen, T value, order success, order failure) noexcept {
    return __atomic_compare_exchange(&value_, &seen, &value, true, static_cast<int>(success),
                                     static_cast<int>(failure));
  }
  [[gnu::always_inline]] bool compare_exchange_weak(T& seen, T value, order success) noexcept {
    return compare_exchange_weak(seen, value, success, of_a_load(success));
  }
  [[gnu::always_inline]] bool compare_exchange_strong(T& seen, T value, order success, order failure) noexcept {
    return __atomic_compare_exchange(&value_, &seen, &value, false, static_cast<int>(success),
                                     static_cast<int>(failure));
  }
  [[gnu::always_inline]] bool compare_exchange_strong(T& seen, T value, order success) noexcept {
    return compare_exchange_strong(seen, value, success, of_a_load(success));
  }
  [[gnu::always_inline]] T fetch_add(T n, order o) noexcept {
    return __atomic_fetch_add(&value_, n, static_cast<int>(o));
  }
  [[gnu::always_inline]] T fetch_sub(T n, order o) noexcept {
    return __atomic_fetch_sub(&value_, n, static_cast<int>(o));
  }
  [[gnu::always_inline]] T fetch_and(T bits, order o) noexcept {
    return __atomic_fetch_and(&value_, bits, static_cast<int>(o));
  }

 private:
  static constexpr order of_a_load(order o) noexcept {
    return o == order::acq_rel ? order::acquire : o == order::release ? order::relaxed : o;
  }
  alignas(sizeof(T)) T value_{};
};

#else

using order = std::memory_order;
template <class T> using atomic = std::atomic<T>;

#endif

}  // namespace again::inline AGAIN_ABI::detail
