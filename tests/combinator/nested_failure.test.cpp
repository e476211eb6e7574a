// SPDX-License-Identifier: MIT
// Nested retries add up also through the combinators between them (the rest is in retry/nesting.test.cpp).
#include <again/coro/task.hpp>
#include <again/protection/fallback.hpp>
#include <again/protection/hedge.hpp>
#include <again/retry.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>

using namespace again_test;
using namespace std::chrono_literals;

namespace {

using whole = again::expected<int, again::failure<trouble>>;
constexpr again::policy four{.attempts = 4,
                             .backoff = again::constant(1ms),
                             .jitter = again::jitter::none,
                             .attempt_timeout = again::forever,
                             .deadline = again::forever};

struct down {
  int sends = 0;
  again::task<outcome> operator()() {
    ++sends;
    co_return fail(sends);
  }
};

}  // namespace

TEST_CASE("a hedge and a fallback pass on that an attempt is repeated: nested retries add up through them") {
  world w;
  down peer;
  auto middle = [&]() -> again::task<whole> { co_return co_await again::retry(four, std::ref(peer)); };
  SUBCASE("a hedge") {
    auto outer = [&]() -> again::task<whole> { co_return co_await again::hedge({.delay = 1h}, middle); };
    (void)w.run(again::retry(four, outer));
    CHECK(peer.sends == 4 + 3);
  }
  SUBCASE("a fallback") {
    auto outer = [&]() -> again::task<whole> { co_return co_await again::fallback(middle, middle); };
    (void)w.run(again::retry(four, outer));
    CHECK(peer.sends == 2 * 4 + 3 * 2);
  }
}
