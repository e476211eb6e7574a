// SPDX-License-Identifier: MIT
#include <again/coro/operation.hpp>

#include <again/combinator/catching.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/fallback.hpp>
#include <again/protection/guard.hpp>
#include <again/protection/limit.hpp>
#include <again/protection/rate.hpp>
#include <again/retry.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>

using again::task;
using again_test::outcome;
using again_test::world;
using namespace std::chrono_literals;

namespace {

struct database {
  int loads = 0;
};
task<outcome> load(database& db, const std::string& id) {
  ++db.loads;
  co_await again::yield();
  if (db.loads < 3) co_return again_test::fail(db.loads);
  co_return static_cast<int>(id.size());
}

task<outcome> send_one() { co_return 1; }

const again::policy quick{.attempts = 3, .backoff = again::constant(std::chrono::nanoseconds{0})};

}  // namespace

static_assert(again::operation<task<int> (*)()> && !again::operation<task<int>> && !again::operation<int (*)()>);
static_assert(!again::operation<task<int> (*)(int)>);
static_assert(again::fallible_operation<task<outcome> (*)()> && !again::fallible_operation<task<int> (*)()>);

TEST_CASE("a function's arguments are copied once and passed to every attempt; an object is shared with std::ref") {
  world w;
  database db;
  std::string id = "four";
  auto op = again::retry(quick, load, std::ref(db), id);
  id = "changed";
  const auto result = w.run(op);
  REQUIRE(result.has_value());
  CHECK(*result == 4);
  CHECK(db.loads == 3);
}

TEST_CASE("an argument that can only be moved is kept for all attempts") {
  world w;
  int sends = 0;
  const auto op = [&](const std::unique_ptr<int>& n) -> task<outcome> {
    if (++sends < 3) co_return again_test::fail(sends);
    co_return *n;
  };
  const auto result = w.run(again::retry(quick, op, std::make_unique<int>(9)));
  REQUIRE(result.has_value());
  CHECK(*result == 9);
}

TEST_CASE("a member function is an operation of its object") {
  struct service {
    int sends = 0;
    task<outcome> ask(int n) {
      if (++sends < 2) co_return again_test::fail(sends);
      co_return n;
    }
  };
  world w;
  service s;
  const auto result = w.run(again::retry(quick, &service::ask, std::ref(s), 11));
  REQUIRE(result.has_value());
  CHECK(*result == 11);
}

TEST_CASE("an operation that says nothing is repeatable, once_only is not") {
  CHECK(again::is_repeatable(send_one));
  again::once_only order{send_one};
  CHECK_FALSE(again::is_repeatable(order));
  world w;
  CHECK(w.run(order()).value() == 1);
}

TEST_CASE("std::ref, catching and a function with its arguments pass on whether the operation is repeatable") {
  again::once_only order{send_one};
  CHECK_FALSE(again::is_repeatable(std::ref(order)));
  CHECK_FALSE(again::is_repeatable(again::timeout(1s, std::ref(order))));
  struct throwing {
    task<int> operator()(int) const { co_return 1; }
    bool repeatable() const { return false; }
  };
  CHECK_FALSE(again::is_repeatable(again::catching(throwing{}, 1)));
  CHECK(again::is_repeatable(std::ref(send_one)));
  CHECK(again::is_repeatable(again::catching([](int) -> task<int> { co_return 1; }, 1)));
}

TEST_CASE("combinators pass on whether the operation is repeatable") {
  const again::once_only order{send_one};
  again::breaker b;
  again::limiter l;
  again::rate_limiter r{{}};
  CHECK_FALSE(again::is_repeatable(again::timeout(1s, order)));
  CHECK_FALSE(again::is_repeatable(again::guard(b, order)));
  CHECK_FALSE(again::is_repeatable(again::limit(l, order)));
  CHECK_FALSE(again::is_repeatable(again::rate(r, order)));
  CHECK_FALSE(again::is_repeatable(again::fallback(order, 1)));
  CHECK_FALSE(again::is_repeatable(again::fallback(send_one, order)));
  CHECK_FALSE(again::is_repeatable(again::retry(again::policy{}, order)));
  CHECK(again::is_repeatable(again::retry(again::policy{}, send_one)));
  CHECK(again::is_repeatable(again::limit(l, send_one)));
}
