// SPDX-License-Identifier: MIT
/// \file
/// The items of a range, one after the other: a container, a view, or a generator that makes each item when it is asked
/// for. One thread at a time.
#pragma once

#include <again/core/detail/addressof.hpp>
#include <again/core/detail/manual_optional.hpp>

#include <iterator>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Range>
concept item_range = requires(std::remove_reference_t<Range>& range) {
  *std::begin(range);
  ++*static_cast<decltype(std::begin(range))*>(nullptr);
  static_cast<bool>(std::begin(range) == std::end(range));
};

/// Refers to the range.
template <item_range Range> class item_source {
  using iterator = decltype(std::begin(std::declval<Range&>()));
  using sentinel = decltype(std::end(std::declval<Range&>()));

 public:
  using reference = decltype(*std::declval<iterator&>());

  explicit item_source(Range& range) noexcept : range_{range} {}

  /// Goes on to the next item. False: there is none. Throws what the range throws.
  ///
  /// The range is asked for an item only when there is room for it: a generator makes none that is not needed yet.
  bool next() {
    if (!at_) {
      at_.emplace(std::begin(range_));
      end_.emplace(std::end(range_));
    } else {
      ++*at_;
    }
    return !(*at_ == *end_);
  }
  reference item() { return **at_; }

 private:
  Range& range_;
  manual_optional<iterator> at_;
  manual_optional<sentinel> end_;
};

/// An item while its call runs. What the range makes anew is kept here; what stands in a container is referred to.
template <class Reference> class kept_item {
 public:
  using argument = std::remove_cvref_t<Reference>&&;
  template <class Source> void keep(Source& source) { value_.emplace(source.item()); }
  argument get() noexcept { return std::move(*value_); }
  void reset() noexcept { value_.reset(); }

 private:
  manual_optional<std::remove_cvref_t<Reference>> value_;
};
template <class T> class kept_item<T&> {
 public:
  using argument = T&;
  template <class Source> void keep(Source& source) { item_ = address_of(source.item()); }
  argument get() noexcept { return *item_; }
  void reset() noexcept {}

 private:
  T* item_ = nullptr;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
