// SPDX-License-Identifier: MIT
#include <again/coro/repeatable.hpp>

#include <again/coro/task.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/fallback.hpp>
#include <again/protection/guard.hpp>
#include <again/protection/limit.hpp>
#include <again/protection/rate.hpp>
#include <again/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>

using namespace again_test;
using namespace std::chrono_literals;

namespace {
again::task<outcome> send() { co_return 1; }
}  // namespace

TEST_CASE("what says nothing may be repeated, once_only may not") {
  CHECK(again::is_repeatable(send));
  again::once_only order{send};
  CHECK_FALSE(again::is_repeatable(order));
  world w;
  CHECK(w.run(order()).value() == 1);
}

TEST_CASE("std::ref, catching and a function with its arguments pass the response on") {
  again::once_only order{send};
  CHECK_FALSE(again::is_repeatable(std::ref(order)));
  CHECK_FALSE(again::is_repeatable(again::timeout(1s, std::ref(order))));
  struct throwing {
    again::task<int> operator()(int) const { co_return 1; }
    bool repeatable() const { return false; }
  };
  CHECK_FALSE(again::is_repeatable(again::catching(throwing{}, 1)));
  CHECK(again::is_repeatable(std::ref(send)));
  CHECK(again::is_repeatable(again::catching([](int) -> again::task<int> { co_return 1; }, 1)));
}

TEST_CASE("combinators pass the response on") {
  const again::once_only order{send};
  again::breaker b;
  again::limiter l;
  again::rate_limiter r{{}};
  CHECK_FALSE(again::is_repeatable(again::timeout(1s, order)));
  CHECK_FALSE(again::is_repeatable(again::guard(b, order)));
  CHECK_FALSE(again::is_repeatable(again::limit(l, order)));
  CHECK_FALSE(again::is_repeatable(again::rate(r, order)));
  CHECK_FALSE(again::is_repeatable(again::fallback(order, 1)));
  CHECK_FALSE(again::is_repeatable(again::fallback(send, order)));
  CHECK_FALSE(again::is_repeatable(again::retry(again::policy{}, order)));
  CHECK(again::is_repeatable(again::retry(again::policy{}, send)));
  CHECK(again::is_repeatable(again::limit(l, send)));
}
