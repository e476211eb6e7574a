// SPDX-License-Identifier: MIT
// The error messages of misuse.hpp are tested in tests/fail. Here is the stand-in for the result: it must compile
// wherever a result does, so that the message is the only error.
#include <again/combinator/misuse.hpp>
#include <again/coro/task.hpp>
#include <again/retry.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

namespace {

template <class T>
concept chains = requires(T x) {
  x.when(1);
  x.observe(1);
  x.budget(1);
  x.breaker(1);
  x.on(1);
  x.nested(1);
  x.seed(1);
};

}  // namespace

TEST_CASE("the stand-in for a result can be awaited, and used as anything") {
  using again::detail::misused;
  CHECK(chains<misused>);
  CHECK(again::awaitable<misused>);
  using given = again::await_result_t<misused>;
  CHECK(std::is_constructible_v<bool, given>);
  CHECK(std::is_convertible_v<given, std::string&>);
}

TEST_CASE("the stand-in has all builder functions of a retry") {
  const auto op = []() -> again::task<again::expected<int, char>> { co_return 1; };
  CHECK(chains<again::detail::misused>);
  CHECK(
      std::is_same_v<decltype(again::retry(again::policy{}, op).seed(1)), decltype(again::retry(again::policy{}, op))>);
}
