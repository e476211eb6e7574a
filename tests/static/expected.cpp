// SPDX-License-Identifier: MIT
#include <again/core/expected.hpp>

#include <string>
#include <type_traits>

static_assert(again::expected_result<again::expected<int, std::string>>);
static_assert(again::expected_result<again::expected<void, int>>);
static_assert(!again::expected_result<int>);
static_assert(!again::expected_result<again::unexpected<int>>);
static_assert(!again::expected_result<again::expected<int, int>&>, "a result is a value");

static_assert(std::is_same_v<again::expected_parts<again::expected<int, char>>::value, int>);
static_assert(std::is_same_v<again::expected_parts<again::expected<int, char>>::error, char>);

#if defined(__cpp_lib_expected)
static_assert(std::is_same_v<again::expected<int, char>, std::expected<int, char>>);
#else
static_assert(std::is_same_v<again::expected<int, char>, tl::expected<int, char>>);
#endif

// The two kinds of program must not link with each other: the inline namespace tells them apart.
#if defined(__cpp_lib_expected)
static_assert(std::is_same_v<again::unexpect_t, again::with_std_expected::unexpect_t>);
#else
static_assert(std::is_same_v<again::unexpect_t, again::with_tl_expected::unexpect_t>);
#endif
