// SPDX-License-Identifier: MIT
/// \file
/// The enumerators of an enum and their names, read from how the compiler prints a template argument. So an enum is
/// written once, and no `switch` or list has to repeat it.
///
/// The enumerators must count 0, 1, 2, … without a gap, up to 32 of them. C++26's reflection replaces this file.
#pragma once

#include <again/core/expected.hpp>

#include <array>
#include <cstddef>
#include <source_location>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

inline constexpr std::size_t most_enumerators = 32;

/// The text in which the compiler prints the values as template arguments: "… Values = {again::reach::not_sent, (again::reach)3}".
template <class E, E... Values> constexpr std::string_view printed_values() noexcept {
  return std::source_location::current().function_name();
}

/// The names in that text, up to the first number, which is a value without a name. One text for all values: compilers evaluate it
/// much faster than a text for each.
template <class E> struct enumerator_list {
  std::array<std::string_view, most_enumerators> names{};
  std::size_t count = 0;

  template <std::size_t... N> constexpr explicit enumerator_list(std::index_sequence<N...>) noexcept {
    constexpr std::string_view before = "Values = ";
    std::string_view rest = printed_values<E, static_cast<E>(N)...>();
    rest.remove_prefix(rest.find(before) + before.size());
    for (;;) {
      const std::string_view value = rest.substr(0, rest.find(','));
      const std::string_view name = value.substr(value.find_last_of(":)") + 1);
      if (name.front() >= '0' && name.front() <= '9') return;
      names[count++] = name;
      rest.remove_prefix(value.size() + 1);
    }
  }
};
template <class E> inline constexpr enumerator_list<E> enumerators_of{std::make_index_sequence<most_enumerators + 1>{}};
template <class E> using enumerator_indices = std::make_index_sequence<enumerators_of<E>.count>;

/// All enumerators of `E`, in order.
template <class E>
inline constexpr auto enumerators = []<std::size_t... N>(std::index_sequence<N...>) {
  return std::array{static_cast<E>(N)...};
}(enumerator_indices<E>{});

/// The name of an enumerator, "unknown" for a value that is none; static storage.
template <class E> constexpr std::string_view enumerator_name(E value) noexcept {
  const auto n = static_cast<std::size_t>(value);
  return n < enumerators_of<E>.count ? enumerators_of<E>.names[n] : "unknown";
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
