// SPDX-License-Identifier: MIT
#include <again/protection/coalesce.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/counting_new.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using again::stop_reason;
using again::task;
using again_test::fail;
using again_test::outcome;
using again_test::world;

namespace {

using group = again::coalescer<std::string, outcome>;
using shared_outcome = again::expected<int, again::failure<again_test::trouble>>;

/// Counts its sends. Each takes a second and gives its number, or an error.
struct server {
  int sends = 0, stopped = 0;
  bool broken = false;
  auto ask() {
    return [this]() -> task<outcome> {
      const int n = ++sends;
      if (!co_await again::sleep_for(1s)) {
        ++stopped;
        co_return again_test::aborted(n);
      }
      co_return broken ? fail(n) : outcome{n};
    };
  }
};

class wait_that_cannot_be_stopped : again::timer {
 public:
  using result_type = void;
  explicit wait_that_cannot_be_stopped(again::duration d) : span_{d} {}
  wait_that_cannot_be_stopped(const wait_that_cannot_be_stopped&) = delete;
  wait_that_cannot_be_stopped& operator=(const wait_that_cannot_be_stopped&) = delete;
  ~wait_that_cannot_be_stopped() {
    if (home_ != nullptr) home_->disarm(*this);
  }
  bool start(again::continuation k, const again::context& ctx) noexcept {
    k_ = k;
    home_ = ctx.scheduler;
    fire = [](again::timer& self) noexcept { static_cast<wait_that_cannot_be_stopped&>(self).k_(); };
    home_->arm(*this, home_->now() + span_);
    return false;
  }
  void take() {}
  std::exception_ptr exception() noexcept { return nullptr; }
  auto operator co_await() && noexcept { return again::detail::startable_awaiter<wait_that_cannot_be_stopped>{*this}; }

 private:
  again::duration span_;
  again::continuation k_;
  again::scheduler* home_ = nullptr;
};

/// Calls after a while.
task<shared_outcome> later(again::duration d, group& g, std::string key, server& s) {
  (void)co_await again::sleep_for(d);
  co_return co_await again::coalesce(g, std::move(key), s.ask());
}

}  // namespace

TEST_CASE("callers of one key share one send and its result, those of another key do not") {
  world w;
  server s;
  group g;
  const auto body = [&]() -> task<> {
    auto [a, b, c, d] = co_await again::when_all(later(0s, g, "x", s), later(500ms, g, "x", s), later(900ms, g, "x", s),
                                                 later(0s, g, "y", s));
    CHECK(a.value() == 1);
    CHECK(b.value() == 1);
    CHECK(c.value() == 1);
    CHECK(d.value() == 2);
    CHECK(w.elapsed() == 1s);
  };
  w.run(body());
  CHECK(s.sends == 2);
  CHECK(g.begun() == 2);
  CHECK(g.joined() == 2);
  CHECK(g.running() == 0);
}

TEST_CASE("nothing is kept: who comes after the end starts anew, after an error as well") {
  world w;
  server s;
  group g;
  s.broken = true;
  const auto body = [&]() -> task<> {
    auto [a, b] = co_await again::when_all(later(0s, g, "x", s), later(500ms, g, "x", s));
    REQUIRE_FALSE(a);
    CHECK(a.error().error()->number == 1);
    CHECK(a.error().attempts() == 1);
    CHECK(b.error().error()->number == 1);
    s.broken = false;
    const auto c = co_await again::coalesce(g, "x", s.ask());
    CHECK(c.value() == 2);
  };
  w.run(body());
}

TEST_CASE("a caller that is stopped leaves at once, and the call goes on for the others") {
  for (const bool first_leaves : {true, false}) {
    world w;
    server s;
    group g;
    const auto short_of_time = [&](again::duration d) -> task<> {
      (void)co_await again::sleep_for(d);
      const again::time_point from = w.loop.now();
      const auto r = co_await again::timeout(200ms, again::coalesce(g, "x", s.ask()));
      REQUIRE_FALSE(r);
      CHECK(r.error().reason() == stop_reason::deadline_reached);
      CHECK(w.loop.now() - from == 200ms);
    };
    const auto body = [&]() -> task<> {
      auto all = first_leaves ? co_await again::when_all(short_of_time(0s), later(100ms, g, "x", s))
                              : co_await again::when_all(short_of_time(300ms), later(0s, g, "x", s));
      CHECK(std::get<1>(all).value() == 1);
    };
    w.run(body());
    CHECK(s.sends == 1);
    CHECK(s.stopped == 0);
    CHECK(w.elapsed() == 1s);
  }
}

TEST_CASE("the last caller stops the call and awaits its end; who comes meanwhile starts anew") {
  world w;
  group g;
  int sends = 0;
  // A call that takes a while to end after a stop request.
  const auto slow_to_end = [&]() -> task<outcome> {
    const int n = ++sends;
    if (co_await again::sleep_for(1s)) co_return n;
    co_await wait_that_cannot_be_stopped{10ms};
    co_return again_test::aborted(n);
  };
  again::inplace_stop_source stop;
  const auto body = [&]() -> task<> {
    auto first = [&]() -> task<> {
      const auto r = co_await again::coalesce(g, "x", slow_to_end).stop(stop.get_token());
      REQUIRE_FALSE(r);
      CHECK(r.error().reason() == stop_reason::cancelled_in_attempt);
    };
    auto second = [&]() -> task<> {
      (void)co_await again::sleep_for(500ms);
      stop.request_stop();
      (void)co_await again::sleep_for(1ms);
      CHECK(g.running() == 0);
      const auto r = co_await again::coalesce(g, "x", slow_to_end);
      CHECK(r.value() == 2);
    };
    static_cast<void>(co_await again::when_all(first(), second()));
  };
  w.run(body());
  CHECK(sends == 2);
}

TEST_CASE("a caller that is stopped before it begins sends nothing") {
  world w;
  server s;
  group g;
  again::inplace_stop_source stop;
  stop.request_stop();
  const auto r = w.run(again::coalesce(g, "x", s.ask()), stop.get_token());
  REQUIRE_FALSE(r);
  CHECK(r.error().reason() == stop_reason::cancelled_before_start);
  CHECK(s.sends == 0);
}

TEST_CASE("destroying callers: the call ends with the last of them") {
  world w;
  server s;
  group g;
  const auto call = [&]() -> task<> { static_cast<void>(co_await again::coalesce(g, "x", s.ask())); };
  const again::continuation nobody{[](void*) noexcept {}, nullptr};
  for (const bool first_goes_first : {true, false}) {
    std::optional<task<>> a{call()}, b{call()};
    CHECK_FALSE(a->start(nobody, w.loop.root()));
    CHECK_FALSE(b->start(nobody, w.loop.root()));
    (first_goes_first ? a : b).reset();
    CHECK(g.running() == 1);
    CHECK(w.loop.timers() == 1);
    (first_goes_first ? b : a).reset();
    CHECK(g.running() == 0);
    CHECK(w.loop.timers() == 0);
  }
  CHECK(s.sends == 2);
}

TEST_CASE("operations of different types share a call; one that has finished at once, and one that throws") {
  world w;
  group g;
  int calls = 0;
  const auto slow = [&]() -> task<outcome> {
    ++calls;
    (void)co_await again::sleep_for(1s);
    co_return 1;
  };
  const auto other = [&]() -> task<outcome> {
    ++calls;
    co_return 2;
  };
  const auto throws = [&]() -> task<outcome> {
    (void)co_await again::sleep_for(1s);
    throw std::runtime_error{"thrown"};
  };
  const auto body = [&]() -> task<> {
    CHECK((co_await again::coalesce(g, "x", other)).value() == 2);
    auto [a, b] = co_await again::when_all(again::coalesce(g, "x", slow), again::coalesce(g, "x", other));
    CHECK(a.value() == 1);
    CHECK(b.value() == 1);
    int caught = 0;
    const auto catches = [&]() -> task<> {
      try {
        static_cast<void>(co_await again::coalesce(g, "x", throws));
      } catch (const std::runtime_error&) { ++caught; }
    };
    static_cast<void>(co_await again::when_all(catches(), catches()));
    CHECK(caught == 2);
  };
  w.run(body());
  CHECK(calls == 2);
  CHECK(g.running() == 0);
}

TEST_CASE("around and inside of retries") {
  world w;
  server s;
  group g;
  again::coalescer<int, shared_outcome> whole;
  s.broken = true;
  const again::policy twice{.attempts = 2, .backoff = again::constant(1s), .jitter = again::jitter::none};
  const auto body = [&]() -> task<> {
    const auto call = [&] { return again::coalesce(whole, 7, again::retry(twice, s.ask())); };
    auto [a, b] = co_await again::when_all(call(), call());
    CHECK(a.error().attempts() == 2);
    CHECK(b.error().attempts() == 2);
    CHECK(s.sends == 2);
    auto [c, d] = co_await again::when_all(again::retry(twice, again::coalesce(g, "x", s.ask())),
                                           again::retry(twice, again::coalesce(g, "x", s.ask())));
    CHECK(c.error().attempts() == 2);
    CHECK(d.error().attempts() == 2);
    CHECK(s.sends == 4);
  };
  w.run(body());
}

TEST_CASE("a group belongs to one scheduler at a time") {
  world here, there;
  server s;
  group g;
  const auto call = [&]() -> task<> { static_cast<void>(co_await again::coalesce(g, "x", s.ask())); };
  {
    task<> waits = call();
    CHECK_FALSE(waits.start({[](void*) noexcept {}, nullptr}, here.loop.root()));
    CHECK_THROWS_AS(static_cast<void>(there.run(again::coalesce(g, "x", s.ask()))), std::logic_error);
  }
  CHECK(there.run(again::coalesce(g, "x", s.ask())).value() == 2);
}

TEST_CASE("no memory for the call, or for its entry, is an exception of the caller that would begin it") {
  struct cannot_be_copied_twice {
    int* copies;
    explicit cannot_be_copied_twice(int& n) : copies{&n} {}
    cannot_be_copied_twice(const cannot_be_copied_twice& other) : copies{other.copies} {
      if (++*copies > 1) throw std::bad_alloc{};
    }
    task<outcome> operator()() { co_return 1; }
  };
  world w;
  group g;
  int copies = 0;
  const cannot_be_copied_twice op{copies};
  CHECK_THROWS_AS(static_cast<void>(w.run(again::coalesce(g, "x", op))), std::bad_alloc);
  CHECK(g.running() == 0);
  server s;
  CHECK(w.run(again::coalesce(g, "x", s.ask())).value() == 1);
}
