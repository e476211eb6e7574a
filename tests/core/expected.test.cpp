// SPDX-License-Identifier: MIT
#include <again/core/expected.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

#if defined(__cpp_lib_expected)
static_assert(std::is_same_v<again::expected<int, char>, std::expected<int, char>>);
#else
static_assert(std::is_same_v<again::expected<int, char>, tl::expected<int, char>>);
#endif

TEST_CASE("expected is std::expected or tl::expected, and is made of a value or of an unexpected error") {
  const again::expected<int, std::string> value = 7;
  REQUIRE(value.has_value());
  CHECK(*value == 7);
  const again::expected<int, std::string> error = again::unexpected<std::string>{"no"};
  REQUIRE_FALSE(error.has_value());
  CHECK(error.error() == "no");
  const again::expected<void, int> nothing{again::unexpect, 3};
  CHECK(nothing.error() == 3);
}

TEST_CASE("expected_parts gives the value and error types of an expected, and of nothing else") {
  using parts = again::expected_parts<again::expected<int, char>>;
  static_assert(parts::is_expected && std::is_same_v<parts::value, int> && std::is_same_v<parts::error, char>);
  static_assert(again::expected_result<again::expected<void, char>>);
  static_assert(!again::expected_result<int> && !again::expected_result<again::unexpected<int>>);
  static_assert(!again::expected_result<again::expected<int, char>&>);
  CHECK(parts::is_expected);
}
