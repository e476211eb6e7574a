// SPDX-License-Identifier: MIT
#include <again/execution/retry.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/execution/as_sender.hpp>
#include <again/execution/loop_scheduler.hpp>
#include <again/protection/budget.hpp>

#include "execution_under_test.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using again::execution::as_awaitable;
using again::execution::as_sender;
using again::execution::loop_scheduler;
using again_test::run_on;
using namespace std::chrono_literals;

namespace {

struct busy {
  int number = 0;
  again::verdict verdict() const {
    return {.kind = number < 0 ? again::disposition::permanent : again::disposition::transient};
  }
};
constexpr auto four = again::checked({.attempts = 4, .backoff = again::constant(1ms)});

/// A sender that fails in the error channel for the first `n` starts, and then gives how often it was started.
struct fails_at_first {
  using sender_concept = ex::sender_t;
  using completion_signatures = ex::completion_signatures<ex::set_value_t(int), ex::set_error_t(busy)>;
  template <class R> struct state {
    using operation_state_concept = ex::operation_state_t;
    int n;
    int* starts;
    R to;
    void start() & noexcept {
      if (++*starts <= n) {
        ex::set_error(std::move(to), busy{*starts});
      } else {
        ex::set_value(std::move(to), *starts);
      }
    }
  };
  int n;
  int* starts;
  template <class R> state<R> connect(R to) const { return {n, starts, std::move(to)}; }
};

/// What a failure in the error channel says, in place of a value.
auto in_words() {
  return ex::upon_error([]<class E>(E e) -> std::string {
    if constexpr (std::is_same_v<E, again::failure<busy>>) {
      return std::string{name(e.reason())} + " " + std::to_string(e.attempts()) + " " +
             (e.error() != nullptr ? std::to_string(e.error()->number) : "no error");
    } else {
      return "exception";
    }
  });
}
auto as_text() {
  return ex::then([](int n) { return std::to_string(n); });
}
template <class Sender> std::string text_of(Sender&& s) {
  const auto r = ex::sync_wait(std::forward<Sender>(s) | as_text() | in_words());
  return r ? std::get<0>(*r) : "stopped";
}

}  // namespace

TEST_CASE("what fails in the error channel is retried: a function is called for each attempt, a sender is copied") {
  int starts = 0;
  int calls = 0;
  auto f = [&] {
    ++calls;
    return fails_at_first{2, &starts};
  };
  CHECK(text_of(again::retry(four, f)) == "3");
  CHECK(calls == 3);
  starts = 0;
  CHECK(text_of(fails_at_first{2, &starts} | again::retry(four)) == "3");
  starts = 0;
  CHECK(text_of(f | again::retry(four)) == "3");
}

TEST_CASE("a failure in the error channel ends there, as a failure of its error") {
  int starts = 0;
  CHECK(text_of(again::retry(four, [&] { return fails_at_first{9, &starts}; })) == "attempts_exhausted 4 4");
  starts = -9;
  CHECK(text_of(again::retry(four, [&] { return fails_at_first{9, &starts}; })) == "permanent 1 -8");
}

TEST_CASE("exceptions are retried where a sender has no other error") {
  int calls = 0;
  auto throws = [&] {
    return ex::just() | ex::then([&] {
             if (++calls < 3) throw std::runtime_error{"not yet"};
             return calls;
           });
  };
  CHECK(std::get<0>(*ex::sync_wait(again::retry(four, throws))) == 3);
  calls = -100;
  using failure = again::failure<std::exception_ptr>;
  try {
    (void)ex::sync_wait(again::retry(four, throws));
    FAIL("it succeeded");
  } catch (const failure& f) {
    CHECK(f.attempts() == 4);
    CHECK_THROWS_WITH_AS(std::rethrow_exception(*f.error()), "not yet", std::runtime_error);
  }
}

TEST_CASE("beside another error an exception ends the retry, and so does one of the function") {
  int starts = 0;
  auto both = [&] {
    return fails_at_first{0, &starts} | ex::then([](int) -> int { throw std::runtime_error{"a bug"}; });
  };
  CHECK(text_of(again::retry(four, both)) == "exception");
  CHECK(starts == 1);
  auto throws = [&]() -> fails_at_first { throw std::runtime_error{"no sender"}; };
  CHECK(text_of(again::retry(four, throws)) == "exception");
}

TEST_CASE("an expected in the value channel is retried, and ends there") {
  int sends = 0;
  auto send = [&]() -> again::task<again::expected<int, busy>> {
    ++sends;
    if (sends == 3) co_return sends;
    co_return again::expected<int, busy>{again::unexpect, busy{sends}};
  };
  auto attempt = [&] { return as_sender(send) | ex::then([](again::expected<int, busy> r) { return r; }); };
  CHECK(*std::get<0>(*ex::sync_wait(again::retry(four, attempt))) == 3);
  sends = 3;
  const auto r = ex::sync_wait(attempt() | again::retry(four));
  CHECK(std::is_same_v<decltype(std::get<0>(*r)), const again::expected<int, again::failure<busy>>&>);
  CHECK(std::get<0>(*r).error().attempts() == 4);
  CHECK(std::get<0>(*r).error().error()->number == 7);
}

TEST_CASE("retries inside add up: the failures are merged, and all sends counted") {
  int sends = 0;
  auto fails = [&]() -> again::task<again::expected<int, busy>> {
    ++sends;
    co_return again::expected<int, busy>{again::unexpect, busy{sends}};
  };
  const auto r = ex::sync_wait(again::retry(four, [&] { return as_sender(again::retry(four, fails)); }));
  CHECK(sends == 7);
  CHECK(std::get<0>(*r).error().attempts() == 7);
  CHECK(std::get<0>(*r).error().error()->number == 7);
}

TEST_CASE("several values, or none, stay several, or none") {
  CHECK(*ex::sync_wait(again::retry(four, [] { return ex::just(1, 2); })) == std::tuple{1, 2});
  CHECK(*ex::sync_wait(again::retry(four, [] { return ex::just(); })) == std::tuple<>{});
  CHECK_FALSE(ex::sync_wait(again::retry(four, [] { return ex::just_stopped() | ex::then([] {}); })).has_value());
}

TEST_CASE("a stopped sender ends the retry as stopped") {
  int calls = 0;
  auto stops = [&] {
    ++calls;
    return ex::just_stopped() | ex::then([] { return 1; });
  };
  CHECK_FALSE(ex::sync_wait(again::retry(four, stops)).has_value());
  CHECK(calls == 1);
}

TEST_CASE("an attempt that its own timeout stopped is followed by another; a failure of such attempts has no error") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  constexpr auto brief = again::checked({.attempts = 3,
                                         .backoff = again::constant(1s),
                                         .jitter = again::jitter::none,
                                         .attempt_timeout = 10s,
                                         .deadline = 1min});
  auto waits = [&] { return loop_scheduler{loop}.schedule_after(1h); };
  int stopped = 0;
  const auto see = [&](const again::attempt_record& r) { stopped += r.timed_out ? 1 : 0; };
  std::string words;
  auto told = again::retry(brief, waits).observe(see) | ex::upon_error([&]<class E>(const E& e) {
                if constexpr (std::is_same_v<E, again::failure<std::exception_ptr>>)
                  words = std::string{name(e.reason())} + (e.error() == nullptr ? " no error" : "");
              });
  CHECK(run_on(loop, std::move(told)).values == 1);
  CHECK(words == "attempts_exhausted no error");
  CHECK(stopped == 3);
  CHECK(time.now() == again::virtual_clock::start + 32s);
}

TEST_CASE("a timeout does not hide the last real error") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  constexpr auto brief = again::checked({.attempts = 2, .backoff = again::constant(1s), .attempt_timeout = 10s});
  int calls = 0;
  auto attempt = [&] {
    return loop_scheduler{loop}.schedule_after(++calls == 1 ? 0s : 1h) |
           ex::then([] { throw std::runtime_error{"first"}; });
  };
  bool kept = false;
  auto told = again::retry(brief, attempt) | ex::upon_error([&]<class E>(const E& e) {
                if constexpr (std::is_same_v<E, again::failure<std::exception_ptr>>) kept = e.error() != nullptr;
              });
  CHECK(run_on(loop, std::move(told)).values == 1);
  CHECK(kept);
}

TEST_CASE("a stop request ends a wait at once, as stopped") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  constexpr auto slow = again::checked({.attempts = 4, .backoff = again::constant(1h), .deadline = again::forever});
  int starts = 0;
  auto race =
      exec_parts::when_any(again::retry(slow, [&] { return fails_at_first{9, &starts}; }) | ex::then([](int) {}),
                           loop_scheduler{loop}.schedule_after(2s));
  CHECK(run_on(loop, std::move(race)).values == 1);
  CHECK(starts == 1);
  CHECK(time.now() == again::virtual_clock::start + 2s);
}

TEST_CASE("predicates, observers and a budget are attached as to any retry") {
  int starts = 0;
  int seen = 0;
  auto f = [&] { return fails_at_first{9, &starts}; };
  CHECK(text_of(again::retry(four, f)
                    .when([](const busy& b) { return b.number < 2; })
                    .observe([&](const again::attempt_record&) { ++seen; })) == "permanent 2 2");
  CHECK(seen == 2);
  starts = 0;
  CHECK(text_of(again::retry(four, f).when([](const busy&) {
          return again::verdict{.kind = again::disposition::forbidden};
        })) == "server_forbade 1 1");
  starts = 0;
  again::budget none{again::budgets::ratio{.share = 0, .floor_per_second = 0}};
  CHECK(text_of(again::retry(four, f).budget(none)) == "budget_exhausted 1 1");
  CHECK(text_of(again::retry(four, f).within(0s)) == "deadline_reached 0 no error");
  again::inplace_stop_source source;
  source.request_stop();
  starts = 0;
  CHECK(text_of(again::retry(four, f).stop(source.get_token())) == "stopped");
  CHECK(starts == 0);
  again::run_loop loop;
  CHECK(run_on(loop, again::retry(four, f).seed(1).nested(again::allow)).errors == 1);
}

TEST_CASE("the stages of a pipe take senders") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  int calls = 0;
  auto slow = [&] {
    ++calls;
    return loop_scheduler{loop}.schedule_after(1h);
  };
  const auto end = run_on(loop, slow | again::timeout(1s) | again::retry(four) | again::timeout(1min));
  CHECK(end.errors == 1);
  CHECK(calls == 4);
  auto usual = again::timeout(1s) | again::retry(four);
  int starts = 0;
  CHECK(text_of(fails_at_first{1, &starts} | usual) == "2");
}

TEST_CASE("in a task a retry of senders gives an expected, of either channel") {
  int starts = 0;
  auto f = [&] { return fails_at_first{9, &starts}; };
  auto asks = [&]() -> again::task<int> {
    const again::expected<int, again::failure<busy>> r = co_await as_awaitable(again::retry(four, f));
    co_return r.error().error()->number;
  };
  CHECK(again::sync_wait(asks()) == 4);
  auto value = []() -> again::task<int> {
    auto op = [] { return ex::just(std::make_unique<int>(5)); };
    auto r = co_await as_awaitable(again::retry(four, op));
    co_return **r;
  };
  CHECK(again::sync_wait(value()) == 5);
  auto none = []() -> again::task<bool> {
    auto op = [] { return ex::just(); };
    const auto r = co_await as_awaitable(again::retry(four, op));
    co_return r.has_value();
  };
  CHECK(again::sync_wait(none()));
}

TEST_CASE("a retry of senders that can be copied is connected as often as one likes") {
  int starts = 0;
  const auto retried = again::retry(four, [&] { return fails_at_first{1, &starts}; });
  CHECK(text_of(retried) == "2");
  CHECK(text_of(retried) == "3");
}
