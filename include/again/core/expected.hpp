// SPDX-License-Identifier: MIT
/// \file
/// `again::expected<T, E>`: the result type of this library.
///
/// It is `std::expected` if the standard library has it (C++23), else `tl::expected`. If neither is there, compiling
/// stops with an error that says what to install.
///
/// Two translation units that disagree about `expected` do not link, instead of corrupting memory. `AGAIN_ABI` names the
/// inline namespace of all declarations of the library, and its `abi_tag` also marks a function of yours that only returns
/// one of our types. A function that returns `expected<int, your_type>` names nothing of ours and links: compile one
/// program with one `-std`.
///
/// The headers use no monadic members (`transform`, `and_then`, …): the first standard libraries with `<expected>` lack
/// them.
#pragma once

#include <again/core/detail/compiler.hpp>

#include <version>

#if defined(__cpp_lib_expected)
#include <expected>
#define AGAIN_ABI with_std_expected
#define AGAIN_ABI_TAG "again_std_expected"
#elif __has_include(<tl/expected.hpp>)
#include <tl/expected.hpp>
#define AGAIN_ABI with_tl_expected
#define AGAIN_ABI_TAG "again_tl_expected"
#else
#error \
    "again needs std::expected (compile with -std=c++23) or tl::expected (install libexpected-dev, or put tl/expected.hpp on the include path)"
#endif

namespace again {
// The attribute stands at the first opening and counts for all others.
inline namespace [[gnu::abi_tag(AGAIN_ABI_TAG)]] AGAIN_ABI {}
}  // namespace again
#undef AGAIN_ABI_TAG

namespace again {
inline namespace AGAIN_ABI {

#if defined(__cpp_lib_expected)
template <class T, class E> using expected = std::expected<T, E>;
template <class E> using unexpected = std::unexpected<E>;
using unexpect_t = std::unexpect_t;
inline constexpr unexpect_t unexpect{};
#else
template <class T, class E> using expected = tl::expected<T, E>;
template <class E> using unexpected = tl::unexpected<E>;
using unexpect_t = tl::unexpect_t;
inline constexpr unexpect_t unexpect{};
#endif

/// True for every `expected<T, E>`; `value` and `error` are its `T` and `E`.
template <class R> struct expected_parts {
  static constexpr bool is_expected = false;
};
template <class T, class E> struct expected_parts<expected<T, E>> {
  static constexpr bool is_expected = true;
  using value = T;
  using error = E;
};

/// A result type: `expected<T, E>` for some `T` and `E`.
template <class R>
concept expected_result = expected_parts<R>::is_expected;

}  // namespace AGAIN_ABI
}  // namespace again
