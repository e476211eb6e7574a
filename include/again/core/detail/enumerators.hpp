// SPDX-License-Identifier: MIT
/// \file
/// The enumerators of an enum and their names, read from how the compiler prints a template argument. So an enum is
/// written once, and no `switch` or list has to repeat it.
///
/// The enumerators must count 0, 1, 2, … without a gap. C++26's reflection replaces this file.
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

/// The name of the enumerator `Value`; empty for a number that has none, which compilers print as "(again::reach)3".
template <auto Value> constexpr std::string_view printed_enumerator() noexcept {
  constexpr std::string_view before = "Value = ";
  std::string_view text = std::source_location::current().function_name();
  text.remove_prefix(text.find(before) + before.size());
  text = text.substr(0, text.find_first_of(";]"));
  text.remove_prefix(text.find_last_of(":)") + 1);
  return text.front() >= '0' && text.front() <= '9' ? std::string_view{} : text;
}

template <class E, std::size_t N = 0> constexpr std::size_t count_enumerators() noexcept {
  if constexpr (printed_enumerator<static_cast<E>(N)>().empty()) {
    return N;
  } else {
    return count_enumerators<E, N + 1>();
  }
}
template <class E> using enumerator_indices = std::make_index_sequence<count_enumerators<E>()>;

/// All enumerators of `E`, in order.
template <class E>
inline constexpr auto enumerators = []<std::size_t... N>(std::index_sequence<N...>) {
  return std::array{static_cast<E>(N)...};
}(enumerator_indices<E>{});

/// Their names, in the same order; static storage.
template <class E>
inline constexpr auto enumerator_names = []<std::size_t... N>(std::index_sequence<N...>) {
  return std::array{printed_enumerator<static_cast<E>(N)>()...};
}(enumerator_indices<E>{});

/// The name of an enumerator, "unknown" for a value that is none; static storage.
template <class E> constexpr std::string_view enumerator_name(E value) noexcept {
  const auto n = static_cast<std::size_t>(value);
  return n < enumerator_names<E>.size() ? enumerator_names<E>[n] : "unknown";
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
