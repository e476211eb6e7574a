// SPDX-License-Identifier: MIT
#include <again/coro/operation.hpp>

#include <again/combinator/catching.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>
#include <again/coro/when_any.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/fallback.hpp>
#include <again/protection/guard.hpp>
#include <again/protection/hedge.hpp>
#include <again/protection/limit.hpp>
#include <again/protection/rate.hpp>
#include <again/retry.hpp>

#include "support/minimal_coroutine.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <coroutine>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <variant>

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

// Awaits give a reference to what the awaitable owns: `const expected&`, as of a named task of cppcoro or libcoro.
struct by_reference {
  outcome owned;
  static bool await_ready() noexcept { return true; }
  static void await_suspend(std::coroutine_handle<>) noexcept {}
  const outcome& await_resume() const noexcept { return owned; }
};
static_assert(std::is_same_v<again::await_result_t<again_test::lazy<outcome>>, outcome&&>);
static_assert(std::is_same_v<again::await_result_t<again_test::lazy<outcome>&>, const outcome&>);
static_assert(std::is_same_v<again::operation_result_t<again_test::lazy<outcome> (*)()>, outcome>);
static_assert(std::is_same_v<again::operation_result_t<by_reference (*)()>, outcome>);
static_assert(again::fallible_operation<again_test::lazy<outcome> (*)()> &&
              again::fallible_operation<by_reference (*)()>);
static_assert(again::fallible_operation<task<const outcome&> (*)()>);
static_assert(!again::fallible_operation<again_test::lazy<int> (*)()>);

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

TEST_CASE("operations whose await gives an expected&& or a const expected& are taken by every combinator") {
  world w;
  int sends = 0;
  const auto rvalue = [&]() -> again_test::lazy<outcome> {
    const int number = ++sends;
    co_await again::yield{};
    co_return number % 3 != 0 ? again_test::fail(number) : outcome{number};
  };
  const auto reference = [] { return by_reference{outcome{7}}; };
  static const outcome kept{8};
  const auto ours = []() -> task<const outcome&> { co_return kept; };
  again::breaker breaks;
  again::limiter limits;
  again::rate_limiter rates{{.per_second = 1000}};
  CHECK(*w.run(again::retry(quick, rvalue)) == 3);
  CHECK(*w.run(again::retry(quick, reference)) == 7);
  CHECK(*w.run(again::retry(quick, ours)) == 8);
  CHECK(w.run(again::timeout(1s, rvalue)).error().error()->number == 4);
  CHECK(*w.run(again::timeout(1s, reference)) == 7);
  CHECK(*w.run(again::guard(breaks, reference)) == 7);
  CHECK(*w.run(again::limit(limits, reference)) == 7);
  CHECK(*w.run(again::rate(rates, reference)) == 7);
  CHECK(*w.run(again::hedge({}, reference)) == 7);
  CHECK(*w.run(again::fallback(rvalue, reference)) == 7);
  CHECK(*w.run(again::fallback(again::retry(quick, rvalue), 9)) == 6);
  const auto [a, b, c, d] = w.run(again::when_all(rvalue, reference, ours, rvalue()));
  static_assert(std::is_same_v<decltype(a), const outcome>);
  CHECK(a.error().number == 7);
  CHECK(*b == 7);
  CHECK(*c == 8);
  CHECK(d.error().number == 8);
  CHECK(*std::get<1>(w.run(again::when_any([] { return again::sleep_for(1s); }, reference))) == 7);
}

TEST_CASE("what is awaited once and then gone leaves a value, and a reference that its author meant stays one") {
  world w;
  const auto text = []() -> again_test::lazy<std::string> { co_return std::string(100, 'x'); };
  static_assert(std::is_same_v<decltype(again::sync_wait(w.loop, text())), std::string>);
  CHECK(w.run(text()) == std::string(100, 'x'));
  auto named = text();
  static_assert(std::is_same_v<decltype(again::sync_wait(w.loop, named)), const std::string&>);
  CHECK(again::sync_wait(w.loop, named) == std::string(100, 'x'));
  const auto [a, b] = w.run(again::when_all(text, text()));
  CHECK(a + b == std::string(200, 'x'));
  int n = 1;
  const auto refers = [&]() -> task<int&> {
    co_await again::yield{};
    co_return n;
  };
  CHECK(&w.run(refers()) == &n);
  static_assert(std::is_same_v<again::operation_result_t<decltype(refers)>, int&>);
}
