// SPDX-License-Identifier: MIT
#include <again/combinator/catching.hpp>

#include <again/coro/task.hpp>
#include <again/retry.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <exception>
#include <stdexcept>
#include <string>

using again::task;
using again_test::world;

namespace {

task<int> throws(int n) {
  if (n < 0) throw std::runtime_error{"negative"};
  co_return n;
}
task<> throws_nothing_else() {
  throw 42;
  co_return;
}
std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) { return e.what(); } catch (int n) {
    return std::to_string(n);
  }
}

const again::policy quick{.attempts = 3, .backoff = again::constant(std::chrono::nanoseconds{0})};

}  // namespace

TEST_CASE("catching makes an exception an error, and leaves a value a value") {
  world w;
  const auto bad = w.run(again::catching([] { return throws(-1); }));
  REQUIRE_FALSE(bad.has_value());
  CHECK(text_of(bad.error()) == "negative");
  const auto good = w.run(again::catching([] { return throws(5); }));
  REQUIRE(good.has_value());
  CHECK(*good == 5);
  const auto nothing = w.run(again::catching(throws_nothing_else));
  REQUIRE_FALSE(nothing.has_value());
  CHECK(text_of(nothing.error()) == "42");
  const auto with_argument = w.run(again::catching(throws, -1));
  CHECK_FALSE(with_argument.has_value());
}

TEST_CASE("catching catches what is thrown while the task is made") {
  world w;
  const auto result = w.run(again::catching([]() -> task<int> { throw std::runtime_error{"not made"}; }));
  REQUIRE_FALSE(result.has_value());
  CHECK(text_of(result.error()) == "not made");
}

TEST_CASE("a catching operation can be retried, and gives the last exception") {
  world w;
  int sends = 0;
  const auto result = w.run(again::retry(quick, again::catching([&]() -> task<int> {
                                           ++sends;
                                           throw std::runtime_error{"attempt " + std::to_string(sends)};
                                           co_return 0;
                                         })));
  REQUIRE_FALSE(result.has_value());
  CHECK(sends == 3);
  CHECK(text_of(*result.error().error()) == "attempt 3");
  CHECK(*w.run(again::retry(quick, again::catching(throws, 3))) == 3);
}
