// SPDX-License-Identifier: MIT
// The orders that the rules refuse are in tests/fail/order_*.cpp. Here are the properties that the rules check.
#include <again/combinator/order_rules.hpp>
#include <again/coro/task.hpp>
#include <again/protection/fallback.hpp>
#include <again/protection/hedge.hpp>
#include <again/retry.hpp>

#include <doctest/doctest.h>

#include <chrono>

using namespace std::chrono_literals;

namespace {

using result = again::expected<int, char>;
again::task<result> load() { co_return 1; }
constexpr auto op = [] { return load(); };

}  // namespace

TEST_CASE("a retry repeats, a timeout does not") {
  CHECK(again::detail::repeats<decltype(again::retry(again::policy{}, op))>);
  CHECK_FALSE(again::detail::repeats<decltype(again::timeout(1s, op))>);
  CHECK_FALSE(again::detail::repeats<decltype(op)>);
}

TEST_CASE("only a hedge is recognised as a hedge") {
  CHECK(again::detail::is_hedge<decltype(again::hedge({.delay = 1s}, op))>);
  CHECK_FALSE(again::detail::is_hedge<decltype(again::retry(again::policy{}, op))>);
}

TEST_CASE("only a fallback to a value never fails") {
  CHECK(again::detail::never_fails<decltype(again::fallback(op, 7))>);
  CHECK_FALSE(again::detail::never_fails<decltype(again::fallback(op, op))>);
  CHECK_FALSE(again::detail::never_fails<decltype(op)>);
}
