// SPDX-License-Identifier: MIT
// What may be written inside a co_await expression on g++ 12, which destroys some temporaries there twice (docs:
// coroutines on g++ 12). Every spelling that the documentation calls fine stands here, and runs under AddressSanitizer.
#include <again/again.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using again::policy;
using again::retry;
using again::task;
using again_test::fail;
using again_test::outcome;
using again_test::world;

namespace {

// Counts its living copies, to detect one that is destroyed twice, or never.
struct counted {
  static inline int alive = 0;
  std::string text{"long enough to live on the heap, so that a second destruction is a double free"};
  counted() { ++alive; }
  counted(const counted& other) : text{other.text} { ++alive; }
  counted(counted&& other) noexcept : text{std::move(other.text)} { ++alive; }
  counted& operator=(const counted&) = default;
  counted& operator=(counted&&) = default;
  ~counted() { --alive; }
};

struct service {
  int sends = 0;
  task<outcome> ask(counted, std::string name) {
    co_await again::yield();
    if (++sends % 3 != 0) co_return fail(sends);
    co_return static_cast<int>(name.size());
  }
};

class request {  // a type with a constructor, as all of ours that one may write inline
 public:
  explicit request(std::string n) : name_(std::move(n)) {}
  task<outcome> operator()() const { return send(name_); }

 private:
  static task<outcome> send(std::string name) {
    co_await again::yield();
    co_return static_cast<int>(name.size());
  }
  std::string name_;
};
request get(std::string name) { return request{std::move(name)}; }

task<outcome> send(counted c, std::string name) {
  co_await again::yield();
  co_return static_cast<int>(name.size() + (c.text.empty() ? 100 : 0));
}
task<std::vector<int>> numbers() { co_return std::vector<int>{1, 2, 3}; }
task<std::pair<int, std::string>> pair() {
  co_return std::pair<int, std::string>{4, "a string that is long enough for the heap"};
}
task<bool> yes() { co_return true; }

task<outcome> returned() { co_return co_await send(counted{}, "returned"); }

constexpr policy quick{.attempts = 3, .backoff = again::constant(1s), .jitter = again::jitter::none};

}  // namespace

TEST_CASE("policies written in place, functions with arguments, requests made in place") {
  world w;
  const auto body = [&]() -> task<int> {
    service s;
    int sum = 0;
    auto a =
        co_await retry({.attempts = 4, .backoff = again::exponential(1s, 2s)}, [&] { return s.ask(counted{}, "one"); });
    sum += *a;
    auto b = co_await retry(quick, &service::ask, std::ref(s), counted{}, std::string{"three"});
    sum += *b;
    auto c = co_await retry(quick, get("a name that is long enough to live on the heap"));
    sum += *c;
    auto d = co_await retry(policy{.attempts = 2}, send, counted{}, std::string{"four"});
    sum += *d;
    auto e = co_await again::timeout(1s, get("five5"));
    sum += *e;
    auto f = co_await retry(quick, std::bind_front(send, counted{}, std::string{"six"}));
    sum += *f;
    co_return sum;
  };
  CHECK(w.run(body()) == 3 + 5 + 46 + 4 + 5 + 3);
  CHECK(counted::alive == 0);
}

TEST_CASE("things named first may be anything: aggregates, lambdas with captures, conditional expressions") {
  world w;
  const auto body = [&](bool which) -> task<int> {
    const counted c;
    const std::string name = "a name that is long enough to live on the heap";
    auto op = [c, name] { return send(c, name); };
    auto pred = [c](const again_test::trouble&) { return !c.text.empty(); };
    int seen = 0;
    auto watch = [c, &seen](const again::attempt_record&) { seen += static_cast<int>(c.text.size() > 0); };
    auto a = co_await retry(quick, op).when(pred).observe(watch);
    auto chosen = which ? get("left") : get("the right one");
    auto b = co_await retry(quick, chosen);
    co_return *a + *b + seen;
  };
  CHECK(w.run(body(true)) == 46 + 4 + 1);
  CHECK(w.run(body(false)) == 46 + 13 + 1);
  CHECK(counted::alive == 0);
}

TEST_CASE("combinators inside each other, by value and in place") {
  world w;
  const auto body = [&]() -> task<int> {
    int sum = 0;
    auto [a, b] =
        co_await again::when_all(retry(quick, get("one")), retry(quick, send, counted{}, std::string{"three"}));
    sum += *a + *b;
    auto c = co_await again::timeout(1min, retry(quick, retry(quick, get("three"))));
    sum += *c;
    auto d = co_await again::when_any(retry(quick, get("seven77")), [] { return again::sleep_for(1h); });
    sum += *std::get<0>(d);
    auto e = co_await again::catching(numbers);
    sum += static_cast<int>(e->size());
    co_return sum;
  };
  CHECK(w.run(body()) == 3 + 5 + 5 + 7 + 3);
  CHECK(counted::alive == 0);
}

TEST_CASE("co_await in statements: range-for, conditions, structured bindings, co_return, arguments") {
  world w;
  const auto body = [&]() -> task<int> {
    int sum = 0;  // a variable at the top level of the body: without one g++ 12.2 breaks the frame (GCC bug 106188)
    for (const int n : co_await numbers()) sum += n;
    if (co_await yes()) sum += 10;
    while (!co_await yes()) sum += 1000;
    switch ((co_await numbers()).size()) {
      case 3: sum += 100; break;
      default: break;
    }
    auto [number, text] = co_await pair();
    sum += number + static_cast<int>(text.size());
    sum += static_cast<int>((co_await pair()).second.size());
    auto last = co_await returned();
    co_return sum + *last;
  };
  CHECK(w.run(body()) == 6 + 10 + 100 + 4 + 41 + 41 + 8);
  CHECK(counted::alive == 0);
}

TEST_CASE("failures, moved out of the awaited expression or inspected in place") {
  world w;
  const auto bad = []() -> task<again::expected<int, std::string>> {
    co_return again::expected<int, std::string>{again::unexpect,
                                                "an error text that is long enough to live on the heap"};
  };
  const auto body = [&]() -> task<std::string> {
    auto result = co_await retry(quick, bad);
    const std::string copy = *result.error().error();
    const std::string direct = *(co_await retry(quick, bad)).error().error();
    co_return copy == direct ? copy : "different";
  };
  CHECK(w.run(body()) == "an error text that is long enough to live on the heap");
}

TEST_CASE("a shared object, a unique one, and a scope that outlives its spawner's temporaries") {
  world w;
  int sum = 0;
  const auto body = [&]() -> task<> {
    again::scope s{co_await again::get_context()};
    const auto add = [&sum](std::shared_ptr<int> n, counted) -> task<> {
      (void)co_await again::sleep_for(1s);
      sum += *n;
    };
    for (int i = 1; i <= 3; ++i) s.spawn(add(std::make_shared<int>(i), counted{}));
    co_await s.join();
  };
  w.run(body());
  CHECK(sum == 6);
  CHECK(counted::alive == 0);
}
