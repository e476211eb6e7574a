// SPDX-License-Identifier: MIT
#include <again/coro/for_each.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/counting_new.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;
using again::task;
using again_test::fail;
using again_test::outcome;
using again_test::trouble;
using again_test::world;

namespace {

/// The numbers from 0, without an end: each is made when the range is asked for it.
struct numbers {
  struct iterator {
    int at = 0;
    int* made = nullptr;
    int operator*() const {
      if (made != nullptr) *made = at + 1;
      return at;
    }
    iterator& operator++() {
      ++at;
      return *this;
    }
  };
  struct no_end {
    int count;
    friend bool operator==(const iterator& i, no_end end) { return i.at == end.count; }
  };
  int count = -1;
  int* made = nullptr;
  iterator begin() const { return {0, made}; }
  no_end end() const { return {count}; }
};

/// How many run, and how many ran at most.
struct gauge {
  int now = 0, most = 0, all = 0;
  void up() {
    most = std::max(most, ++now);
    ++all;
  }
};

auto waits(gauge& g, again::duration d) {
  return [&g, d](int) -> task<outcome> {
    g.up();
    (void)co_await again::sleep_for(d);
    --g.now;
    co_return 1;
  };
}

}  // namespace

TEST_CASE("at most so many run at once, and the next starts when one has finished") {
  world w;
  gauge g;
  const auto done = w.run(again::for_each(numbers{10}, 3, waits(g, 1s)));
  REQUIRE(done);
  CHECK(*done == 10);
  CHECK(g.most == 3);
  CHECK(w.elapsed() == 4s);
}

TEST_CASE("more places than items, and a range without items") {
  world w;
  gauge g;
  CHECK(w.run(again::for_each(numbers{3}, 1000, waits(g, 1s))).value() == 3);
  CHECK(g.most == 3);
  CHECK(w.run(again::for_each(std::vector<int>{}, 1, waits(g, 1s))).value() == 0);
  CHECK_THROWS_AS(static_cast<void>(again::for_each(numbers{3}, 0, waits(g, 1s))), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(again::for_each(numbers{3}, -1, waits(g, 1s))), std::invalid_argument);
}

TEST_CASE("the range is asked for an item only when there is room for it") {
  world w;
  int made = 0;
  const auto looks = [&](int n) -> task<> {
    CHECK(made == n + 1);
    (void)co_await again::sleep_for(1s);
    CHECK(made <= n + 4);
  };
  CHECK(w.run(again::for_each(numbers{8, &made}, 4, looks)).value() == 8);
}

TEST_CASE("items of a container are referred to, what the range makes is kept until its call has finished") {
  world w;
  std::list<std::string> words{"a", "b"};
  const auto appends = [](std::string& word) -> task<> {
    (void)co_await again::sleep_for(1s);
    word += "!";
  };
  CHECK(w.run(again::for_each(words, 2, appends)).value() == 2);
  CHECK(words == std::list<std::string>{"a!", "b!"});

  struct makes_strings {
    struct iterator {
      int at = 0;
      std::string operator*() const { return std::string(40, static_cast<char>('a' + at)); }
      iterator& operator++() {
        ++at;
        return *this;
      }
      bool operator==(const iterator&) const = default;
    };
    iterator begin() const { return {0}; }
    iterator end() const { return {3}; }
  };
  std::string seen;
  const auto looks = [&](const std::string& word) -> task<> {
    (void)co_await again::sleep_for(1s);
    seen += word.substr(39);
  };
  CHECK(w.run(again::for_each(makes_strings{}, 2, looks)).value() == 3);
  CHECK(seen == "abc");

  std::vector<std::unique_ptr<int>> owned;
  owned.push_back(std::make_unique<int>(7));
  int sum = 0;
  const auto adds = [&](const std::unique_ptr<int>& n) -> task<> {
    sum += *n;
    co_return;
  };
  CHECK(w.run(again::for_each(std::move(owned), 1, adds)).value() == 1);
  CHECK(sum == 7);
}

TEST_CASE("the first error starts no further item, and stops those that run") {
  world w;
  int stopped = 0;
  const auto f = [&](int n) -> task<outcome> {
    if (!co_await again::sleep_for(n == 1 ? 1s : 1h)) {
      ++stopped;
      co_return again_test::aborted(n);
    }
    co_return fail(n * 10);
  };
  const auto done = w.run(again::for_each(numbers{100}, 3, f));
  REQUIRE_FALSE(done);
  const auto& e = done.error();
  CHECK(e.first_error.value().number == 10);
  CHECK(e.first_failed == 1);
  CHECK(e.succeeded == 0);
  CHECK(e.failed == 3);
  CHECK_FALSE(e.complete);
  CHECK(stopped == 2);
  CHECK(w.elapsed() == 1s);
  CHECK(e.verdict().code == 10);
}

TEST_CASE("on_error::go_on calls all items and counts") {
  world w;
  const auto f = [](int n) -> task<outcome> {
    if (n % 10 == 3) co_return fail(n);
    co_return n;
  };
  const auto done = w.run(again::for_each(numbers{1000}, 7, f, again::on_error::go_on));
  REQUIRE_FALSE(done);
  CHECK(done.error().succeeded == 900);
  CHECK(done.error().failed == 100);
  CHECK(done.error().first_failed == 3);
  CHECK(done.error().complete);
}

TEST_CASE("an error of the last item is an error") {
  world w;
  const auto f = [](int n) -> task<outcome> {
    if (n == 4) co_return fail(n);
    co_return n;
  };
  const auto done = w.run(again::for_each(numbers{5}, 2, f));
  REQUIRE_FALSE(done);
  CHECK(done.error().succeeded == 4);
}

TEST_CASE("a stop request reaches those that run, and starts no further one; what is left undone is an error") {
  world w;
  again::inplace_stop_source stop;
  gauge g;
  const auto body = [&]() -> task<> {
    const auto both = co_await again::when_all(again::for_each(numbers{}, 5, waits(g, 1s)), [&]() -> task<> {
      (void)co_await again::sleep_for(1500ms);
      stop.request_stop();
    });
    const auto& done = std::get<0>(both);
    REQUIRE_FALSE(done);
    CHECK_FALSE(done.error().complete);
    CHECK_FALSE(done.error().first_error);
    CHECK(done.error().verdict().kind == again::disposition::aborted);
    CHECK(done.error().succeeded == 10);
  };
  w.run(body(), stop.get_token());
  CHECK(g.all == 10);
  CHECK(w.elapsed() == 1500ms);
}

TEST_CASE("a timeout around it ends an endless range") {
  world w;
  gauge g;
  const auto done = w.run(again::timeout(3500ms, again::for_each(numbers{}, 2, waits(g, 1s))));
  REQUIRE_FALSE(done);
  CHECK(done.error().reason() == again::stop_reason::deadline_reached);
  CHECK(w.elapsed() == 3500ms);
}

TEST_CASE("an exception of a call, of the function or of the range stops the others and is rethrown") {
  struct throws_at {
    struct iterator {
      int at = 0, bad = 0;
      int operator*() const { return at == bad ? throw std::runtime_error{"the range"} : at; }
      iterator& operator++() {
        ++at;
        return *this;
      }
      bool operator==(const iterator& other) const { return at == other.at; }
    };
    int bad;
    iterator begin() const { return {0, bad}; }
    iterator end() const { return {10, bad}; }
  };
  world w;
  gauge g;
  CHECK_THROWS_WITH(static_cast<void>(w.run(again::for_each(throws_at{4}, 8, waits(g, 1h)))), "the range");
  CHECK(g.all == 4);
  const auto call = [](int n) -> task<> {
    if (n == 2) throw std::runtime_error{"a call"};
    (void)co_await again::sleep_for(1h);
  };
  CHECK_THROWS_WITH(static_cast<void>(w.run(again::for_each(numbers{}, 3, call))), "a call");
  const auto wait = waits(g, 1h);
  const auto function = [&](int n) {
    if (n == 2) throw std::runtime_error{"the function"};
    return wait(n);
  };
  CHECK_THROWS_WITH(static_cast<void>(w.run(again::for_each(numbers{}, 3, function))), "the function");
  CHECK(w.elapsed() == 0s);
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("what finishes at once does not keep the loop from its timers") {
  world w;
  bool fired = false;
  const auto body = [&]() -> task<> {
    const auto at_once = [&](int) -> task<outcome> { co_return fired ? fail(1) : outcome{1}; };
    auto all = co_await again::when_all(again::for_each(numbers{}, 4, at_once), [&]() -> task<> {
      (void)co_await again::sleep_for(0s);
      fired = true;
    });
    CHECK_FALSE(std::get<0>(all));
  };
  w.run(body());
}

TEST_CASE("a million items take the memory of those that run, and a constant stack") {
  world w;
  int calls = 0;
  const auto f = [&](int n) -> task<outcome> {
    ++calls;
    if (n % 1000 == 0) (void)co_await again::sleep_for(1ms);
    co_return n;
  };
  const auto body = [&]() -> task<> {
    (void)co_await again::for_each(numbers{1000}, 64, f);  // frames are recycled from here on
    again_test::reset_most_live_blocks();
    const std::size_t live = again_test::live_blocks(), all = again_test::allocations();
    const auto done = co_await again::for_each(numbers{1'000'000}, 64, f);
    CHECK(done.value() == 1'000'000);
    CHECK(again_test::most_live_blocks() - live <= 128);
    if (again::detail::recycle_frames) CHECK(again_test::allocations() - all <= 200);
  };
  w.run(body());
  CHECK(calls == 1'001'000);
}

TEST_CASE("it is an operation like others: each start begins with the first item; destruction ends it") {
  world w;
  int rounds = 0;
  const auto f = [&](int n) -> task<outcome> {
    if (n == 2 && ++rounds < 3) co_return fail(n);
    co_return n;
  };
  const auto done = w.run(again::retry(again::policy{.attempts = 4}, again::for_each(numbers{5}, 2, f)));
  CHECK(done.value() == 5);
  CHECK(rounds == 3);

  gauge g;
  {
    const auto body = [&]() -> task<> { static_cast<void>(co_await again::for_each(numbers{}, 5, waits(g, 1h))); };
    task<> t = body();
    CHECK_FALSE(t.start({[](void*) noexcept {}, nullptr}, w.loop.root()));
    CHECK(w.loop.timers() == 5);
  }
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("a token and a bound of its own") {
  world w;
  gauge g;
  const auto done = w.run(again::for_each(numbers{}, 2, waits(g, 1s)).within(2500ms));
  REQUIRE_FALSE(done);
  CHECK_FALSE(done.error().complete);
  CHECK(w.elapsed() == 2500ms);
  again::inplace_stop_source stop;
  stop.request_stop();
  CHECK_FALSE(w.run(again::for_each(numbers{}, 2, waits(g, 1s)).stop(stop.get_token())));
  CHECK(w.elapsed() == 2500ms);
}
