// SPDX-License-Identifier: MIT
// The sentences of misuse.hpp are tested in tests/fail, where nothing compiles. Here is the rest: what stands in for the result
// must go along with whatever a program does with a result, so that the sentence stays the only error.
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

TEST_CASE("what stands in for a result can be awaited, built upon and used as anything") {
  using again::detail::misused;
  CHECK(chains<misused>);
  CHECK(again::awaitable<misused>);
  using given = again::await_result_t<misused>;
  CHECK(std::is_constructible_v<bool, given>);
  CHECK(std::is_convertible_v<given, std::string&>);
}

TEST_CASE("it can do all that a retry's builder can") {
  const auto op = []() -> again::task<again::expected<int, char>> { co_return 1; };
  CHECK(chains<again::detail::misused>);
  CHECK(
      std::is_same_v<decltype(again::retry(again::policy{}, op).seed(1)), decltype(again::retry(again::policy{}, op))>);
}
