// SPDX-License-Identifier: MIT
/// \file
/// `manual_optional`: storage for one object that is made in place and destroyed on request. It is neither copied nor
/// compared.
///
/// It replaces `std::optional` for types of the library: that one examines some fifty properties of each type, which
/// takes more than half of the time that it takes to compile one of ours.
#pragma once

#include <again/core/expected.hpp>

#include <new>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class T> class manual_optional {
 public:
  manual_optional() noexcept {}
  template <class... From> explicit manual_optional(std::in_place_t, From&&... from) {
    emplace(std::forward<From>(from)...);
  }
  manual_optional(const manual_optional&) = delete;
  manual_optional& operator=(const manual_optional&) = delete;
  ~manual_optional() { reset(); }

  template <class... From> T& emplace(From&&... from) {
    reset();
    T* const made = ::new (static_cast<void*>(&value_)) T(std::forward<From>(from)...);
    there_ = true;
    return *made;
  }
  void reset() noexcept {
    if (!there_) return;
    there_ = false;
    value_.~T();
  }
  explicit operator bool() const noexcept { return there_; }
  T& operator*() noexcept { return value_; }
  T* operator->() noexcept { return &value_; }

 private:
  union {
    T value_;
  };
  bool there_ = false;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
