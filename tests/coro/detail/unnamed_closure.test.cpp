// SPDX-License-Identifier: MIT
// Of what a task warns with g++ 12: by the types alone, since a warning is no test. tests/fail has the sentence.
#include <again/coro/detail/unnamed_closure.hpp>

#include <again/again.hpp>
#include <again/metrics.hpp>
#include <again/testing/chaos.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

using namespace again_test;
using namespace std::chrono_literals;
using again::detail::holds_unnamed_closure;
using again::detail::stored_t;

namespace {

// Would a task warn of `co_await` followed by an expression of this type? T& for what has a name.
template <class T> constexpr bool warns = holds_unnamed_closure<T>;
#define WARNS(...) (warns<decltype(__VA_ARGS__)> == again::detail::warns_of_unnamed_closures)
#define RIGHT(...) (!warns<decltype(__VA_ARGS__)>)

again::task<outcome> send(const std::string& text) { co_return static_cast<int>(text.size()); }

const std::string s{"a string that is long enough to live on the heap"};
again::breaker breaker;
again::limiter limiter;
again::rate_limiter rate{{}};
again::resilience peer;
again::retry_metrics numbers{"numbers"};
constexpr again::policy p{};

#define OWNS [s = s] { return send(s); }

// Every combinator, with a lambda that owns a string in place.
static_assert(WARNS(again::retry(p, OWNS)));
static_assert(WARNS(again::retry(again::checked_policy{p}, OWNS)));
static_assert(WARNS(again::retry(p, [s = s](int) { return send(s); }, 1)));
static_assert(WARNS(again::timeout(1s, OWNS)));
static_assert(WARNS(again::guard(breaker, OWNS)));
static_assert(WARNS(again::limit(limiter, OWNS)));
static_assert(WARNS(again::rate(rate, OWNS)));
static_assert(WARNS(again::hedge({}, OWNS)));
static_assert(WARNS(again::fallback(OWNS, 3)));
static_assert(WARNS(again::resilient(peer, OWNS)));
static_assert(WARNS(again::measure(numbers, OWNS)));
static_assert(WARNS(again::measure(numbers, again::retry(p, OWNS))));
static_assert(WARNS(again::catching([s = s]() -> again::task<int> { co_return 1; })));
static_assert(WARNS(again::chaos({}, OWNS, [] { return trouble{1}; })));
static_assert(WARNS(again::when_all(OWNS, OWNS)));
static_assert(WARNS(again::when_any(OWNS, OWNS)));
static_assert(WARNS(again::once_only(OWNS)));
static_assert(WARNS(OWNS | again::retry(p)));
static_assert(WARNS(again::limit(limiter, again::retry(p, again::guard(breaker, OWNS)))));

// Its hooks.
constexpr auto plain = [] { return send("x"); };
static_assert(WARNS(again::retry(p, plain).when([s = s](const trouble&) { return true; })));
static_assert(WARNS(again::retry(p, plain).observe([s = s](const again::attempt_record&) {}).seed(1)));
static_assert(WARNS(again::fallback(plain, 3).when([s = s](const trouble&) { return true; })));

// Nothing that is right.
static_assert(RIGHT(again::retry(p, plain)));
static_assert(RIGHT(again::retry(p, [] { return send(s); })));
static_assert(RIGHT(again::retry(p, [text = &s] { return send(*text); })));
static_assert(RIGHT(again::retry(p, send, std::string{"an argument"})));
static_assert(RIGHT(again::retry(p, std::bind_front([t = s](int) { return send(t); }, 1))));
static_assert(RIGHT(again::when_all(send(s), again::sleep_for(1s))));

// What has a name, whatever it holds.
auto named = OWNS;
auto whole = again::retry(p, OWNS);
static_assert(RIGHT(again::retry(p, named)));
static_assert(RIGHT(again::guard(breaker, again::timeout(1s, named))));
static_assert(RIGHT((whole)));
static_assert(RIGHT(again::limit(limiter, whole)));
static_assert(RIGHT(again::measure(numbers, again::timeout(1s, whole))));
static_assert(RIGHT(again::when_all(whole, named)));
static_assert(RIGHT(whole | again::timeout(1s)));

// The order of combinators is still seen through a copy of what has a name.
static_assert(again::detail::repeats<stored_t<decltype((whole))>>);
static_assert(std::is_same_v<stored_t<decltype((named))>, std::remove_cv_t<decltype(named)>>);

}  // namespace

TEST_CASE("a lambda that owns something works in every place, alone, in a combinator that has a name, and copied") {
  world w;
  auto shared = std::make_shared<int>(7);  // not const: a copied capture would be, and could not be moved
  {
    auto op = again::retry(p, [shared]() -> again::task<outcome> { co_return *shared; });
    CHECK(shared.use_count() == 2);
    CHECK(w.run(op).value() == 7);
    auto limited = again::limit(limiter, op);
    CHECK(shared.use_count() == 3);
    CHECK(w.run(limited).value() == 7);
    auto moved = again::timeout(1s, std::move(limited));
    CHECK(shared.use_count() == 3);
    const auto all = [&]() -> again::task<int> {
      int sum = 0;
      for (int i = 0; i < 3; ++i) {
        const auto [first, second] = co_await again::when_all(op, moved);
        sum += first.value() + second.value();
      }
      co_return sum;
    };
    CHECK(w.run(all()) == 42);
    CHECK(shared.use_count() == 3);
  }
  CHECK(shared.use_count() == 1);
}
