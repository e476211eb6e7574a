// SPDX-License-Identifier: MIT
#include <again/execution/as_sender.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/coro/when_all.hpp>
#include <again/execution/loop_scheduler.hpp>
#include <again/retry/retry.hpp>

#include "execution_under_test.hpp"
#include "support/counting_new.hpp"
#include "support/delayed.hpp"
#include "support/far_loop.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

using again::execution::as_sender;
using again::execution::loop_scheduler;
using again_test::after;
using again_test::run_on;
using namespace std::chrono_literals;

namespace {

struct busy {
  int number = 0;
};
using outcome = again::expected<int, busy>;
constexpr auto patient = again::checked({.attempts = 4, .backoff = again::constant(10min), .deadline = again::forever});

again::task<outcome> value_of(int n) { co_return n; }
again::task<outcome> fails() { co_return outcome{again::unexpect, busy{7}}; }
/// Fails when it is stopped.
again::task<outcome> an_hour() {
  const bool slept = co_await again::sleep_for(1h);
  if (slept) co_return 1;
  co_return outcome{again::unexpect, busy{1}};
}

/// An operation of which each start is a plain startable that finishes at once.
struct at_once {
  using result_type = outcome;
  static bool start(again::continuation, const again::context&) noexcept { return true; }
  static outcome take() { return 1; }
  static std::exception_ptr exception() noexcept { return nullptr; }
};
at_once finishes_at_once() { return {}; }

/// What a sender completes with, as one number.
template <class Sender> auto numbered(Sender&& s) {
  return std::forward<Sender>(s) | ex::then([](const outcome& r) { return r ? *r : -r.error().number; }) |
         ex::upon_stopped([] { return 1000; });
}

}  // namespace

TEST_CASE("sync_wait(when_all(as_sender(a), as_sender(b))) gives both results") {
  const auto both = ex::sync_wait(ex::when_all(as_sender(value_of(1)), as_sender([] { return value_of(2); })));
  CHECK(*std::get<0>(*both) == 1);
  CHECK(*std::get<1>(*both) == 2);
}

TEST_CASE("operations, tasks, combinators and plain startables are senders; a void result is set_value()") {
  const auto retried = ex::sync_wait(as_sender(again::retry(patient, [] { return value_of(3); })));
  CHECK(*std::get<0>(*retried) == 3);
  CHECK(std::get<0>(*ex::sync_wait(as_sender(again::sleep_for(1ms)))));
  const auto all = ex::sync_wait(as_sender([] { return again::when_all(value_of(4), value_of(5)); }));
  CHECK(*std::get<1>(std::get<0>(*all)) == 5);
  auto nothing = []() -> again::task<> { co_return; };
  CHECK(ex::sync_wait(as_sender(nothing())).has_value());
}

TEST_CASE("an operation is connected as often as one likes, a task once") {
  auto op = [] { return value_of(6); };
  const auto sender = as_sender(op);
  CHECK(*std::get<0>(*ex::sync_wait(sender)) == 6);
  CHECK(*std::get<0>(*ex::sync_wait(sender)) == 6);
  using receiver = again_test::keeping_receiver<ex::never_stop_token>;
  using once = decltype(as_sender(value_of(1)));
  CHECK(requires(once&& s, receiver r) { std::move(s).connect(r); });
  CHECK_FALSE(
      []<class S>(S*) { return requires(const S& s, receiver r) { s.connect(r); }; }(static_cast<once*>(nullptr)));
}

TEST_CASE("an exception is set_error(exception_ptr)") {
  CHECK_THROWS_WITH_AS(ex::sync_wait(as_sender(again_test::throws_after(1ms))), "thrown", std::runtime_error);
  auto never_made = []() -> again::task<int> { throw std::logic_error{"no task"}; };
  auto op = [&] {
    throw std::logic_error{"no task"};
    return never_made();
  };
  CHECK_THROWS_WITH_AS(ex::sync_wait(as_sender(op)), "no task", std::logic_error);
}

TEST_CASE("a failure travels in the value channel, as long as no stop was requested") {
  CHECK(std::get<0>(*ex::sync_wait(numbered(as_sender(fails())))) == -7);
}

TEST_CASE("a failure after a stop request is set_stopped, a value stays one") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  ex::inplace_stop_source source;
  source.request_stop();
  CHECK(run_on(loop, as_sender(an_hour()), source.get_token()).stops == 1);
  CHECK(run_on(loop, as_sender(value_of(1)), source.get_token()).values == 1);
  CHECK(run_on(loop, as_sender(again_test::throws_after(1h)), source.get_token()).errors == 1);
  int sends = 0;
  auto counted = [&] {
    ++sends;
    return fails();
  };
  CHECK(run_on(loop, as_sender(again::retry(patient, counted)), source.get_token()).stops == 1);
  CHECK(sends == 0);
  CHECK(time.now() == again::virtual_clock::start);
}

TEST_CASE("a failure with a reason of its own is a value, also after a stop request") {
  again::run_loop loop;
  ex::inplace_stop_source source;
  auto stops_and_fails = [&]() -> again::task<again::expected<int, again::failure<busy>>> {
    source.request_stop();
    again::failure<busy> f{std::in_place};
    f.details().reason = again::stop_reason::permanent;
    co_return again::expected<int, again::failure<busy>>{again::unexpect, std::move(f)};
  };
  CHECK(run_on(loop, as_sender(stops_and_fails()), source.get_token()).values == 1);
}

TEST_CASE("the loser of when_any is stopped at once, in a wait of its retry, and waited for") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  auto failing = [] { return fails(); };
  auto race = exec_parts::when_any(as_sender(again::retry(patient, failing)) | ex::then([](auto&&) { return 1; }),
                                   as_sender(after(2s, 2)));
  CHECK(run_on(loop, std::move(race)).values == 1);
  CHECK(time.now() == again::virtual_clock::start + 2s);
  CHECK(std::get<0>(*ex::sync_wait(exec_parts::when_any(numbered(as_sender(an_hour())), as_sender(after(1ms, 2))))) ==
        2);
}

TEST_CASE("tokens of every type stop it: the library's, and ours") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  auto stops_after_a_second = [&](auto& source) {
    auto stopper = [&source]() -> again::task<int> {
      const bool slept = co_await again::sleep_for(1s);
      source.request_stop();
      co_return slept;
    };
    again_test::kept_end end;
    auto second = ex::connect(as_sender(stopper()), again_test::keeping_receiver<ex::never_stop_token>{&end, {}});
    again_test::kept_end stopped;
    auto token = source.get_token();
    auto hour = ex::connect(as_sender(an_hour()), again_test::keeping_receiver<decltype(token)>{&stopped, token});
    bool started = false;
    (void)loop.run_until([&] {
      if (!std::exchange(started, true)) {
        ex::start(second);
        ex::start(hour);
      }
      return end.all() + stopped.all() == 2;
    });
    return stopped.stops;
  };
  ex::inplace_stop_source theirs;
  CHECK(stops_after_a_second(theirs) == 1);
  again::inplace_stop_source ours;
  CHECK(stops_after_a_second(ours) == 1);
  CHECK(time.now() == again::virtual_clock::start + 2s);
}

namespace {

using library_task = exec_parts::task<int>;
library_task directly(bool named) {
  auto failing = [] { return fails(); };
  auto retried = again::retry(patient, failing);
  again::stop_reason ended{};
  if (named) {
    auto r = co_await retried;
    ended = r.error().reason();
  } else {
    auto r = co_await std::move(retried);
    ended = r.error().reason();
  }
  co_return cancelled(ended) ? 1 : 0;
}
library_task of_a_task() {
  const outcome first = co_await value_of(3);
  const outcome second = co_await an_hour();
  co_return first.value() + (second.has_value() ? 10 : 1);
}

}  // namespace

TEST_CASE("a coroutine of the library that awaits ours directly stops it by its own token") {
  int ended = 0;
  bool stopped = false;  // stdexec of 2025 ends the coroutine itself as stopped when it schedules it again
  auto race = [&](library_task t) {
    ended = 0;
    stopped = false;
    return exec_parts::when_any(std::move(t) | ex::then([&](int n) { ended = n; }) |
                                    ex::upon_stopped([&] { stopped = true; }),
                                as_sender(after(1ms, 1)) | ex::then([](int) {}));
  };
  CHECK(ex::sync_wait(race(directly(false))).has_value());
  CHECK((ended == 1 || stopped));
  CHECK(ex::sync_wait(race(directly(true))).has_value());
  CHECK((ended == 1 || stopped));
  CHECK(ex::sync_wait(race(of_a_task())).has_value());
  CHECK((ended == 4 || stopped));
}

TEST_CASE("starts_on(loop_scheduler) runs it on that loop, and let_value goes on there") {
  again_test::far_loop far;
  auto where = [&]() -> again::task<bool> {
    const again::context& ctx = co_await again::get_context();
    co_return far.loop.here() && ctx.scheduler == &far.loop;
  };
  auto work = ex::starts_on(loop_scheduler{far.loop}, as_sender(where)) |
              ex::let_value([&](bool ran_there) { return ex::just(ran_there, far.loop.here()); });
  const auto [ran_there, went_on_there] = *ex::sync_wait(std::move(work));
  CHECK(ran_there);
  CHECK(went_on_there);
}

TEST_CASE("on a given loop it runs and completes there, and says so") {
  again_test::far_loop far;
  auto where = [&]() -> again::task<bool> { co_return far.loop.here(); };
  auto sender = as_sender(where, far.loop);
  CHECK(ex::get_completion_scheduler<ex::set_value_t>(ex::get_env(sender)) == loop_scheduler{far.loop});
  const auto [ran_there, completed_there] =
      *ex::sync_wait(std::move(sender) | ex::then([&](bool ran) { return std::pair{ran, far.loop.here()}; }) |
                     ex::let_value([](std::pair<bool, bool>& p) { return ex::just(p.first, p.second); }));
  CHECK(ran_there);
  CHECK(completed_there);
}

TEST_CASE("started on the thread of its loop it begins inside start, and allocates nothing") {
  again::run_loop loop;
  const auto retried = again::retry(patient, finishes_at_once);
  again_test::kept_end end;
  std::size_t allocated = 0;
  (void)loop.run_until([&] {
    const std::size_t before = again_test::allocations();
    auto operation = ex::connect(as_sender(retried), again_test::keeping_receiver<ex::never_stop_token>{&end, {}});
    ex::start(operation);
    allocated = again_test::allocations() - before;
    return true;
  });
  CHECK(end.values == 1);
  CHECK(allocated == 0);
}

TEST_CASE("an operation state that is never started is destroyed, and so is a sender") {
  auto held = std::make_shared<int>(1);
  auto holds = [held]() -> again::task<int> { co_return *held; };
  {
    again_test::kept_end end;
    auto operation = ex::connect(as_sender(holds), again_test::keeping_receiver<ex::never_stop_token>{&end, {}});
    auto unused = as_sender(holds);
    CHECK(held.use_count() == 4);
  }
  CHECK(held.use_count() == 2);
}

namespace {

/// An operation state on the heap, whose receiver frees it in the completion.
struct frees_itself {
  struct receiver {
    using receiver_concept = ex::receiver_t;
    frees_itself* owner;
    std::atomic<int>* ended;
    template <class... V> void set_value(V&&...) && noexcept { end(); }
    template <class E> void set_error(E&&) && noexcept { end(); }
    void set_stopped() && noexcept { end(); }
    [[nodiscard]] again_test::kept_env<ex::inplace_stop_token> get_env() const noexcept { return {owner->token}; }

   private:
    void end() noexcept {
      std::atomic<int>* const counter = ended;
      delete owner;
      counter->fetch_add(1);
      counter->notify_all();
    }
  };
  using operation = ex::connect_result_t<decltype(as_sender(an_hour(), std::declval<again::run_loop&>())), receiver>;

  ex::inplace_stop_token token;
  operation state;
  template <class Sender> frees_itself(Sender s, ex::inplace_stop_token t, std::atomic<int>& ended)
      : token{t}, state(ex::connect(std::move(s), receiver{this, &ended})) {}
};

}  // namespace

TEST_CASE(
    "a stop request may race with the start on another thread and with the completion, which may free the state") {
  again_test::far_loop far;
  std::atomic<int> ended{0};
  for (int round = 0; round < 100; ++round) {
    ex::inplace_stop_source source;
    auto brief = [round]() -> again::task<outcome> {
      const bool slept = co_await again::sleep_for(std::chrono::microseconds{round % 20});
      co_return slept ? outcome{1} : outcome{again::unexpect, busy{}};
    };
    auto* const owned =
        new frees_itself{as_sender(round % 2 == 0 ? an_hour() : brief(), far.loop), source.get_token(), ended};
    ex::start(owned->state);
    source.request_stop();
    ended.wait(round);
  }
  CHECK(ended == 100);
}
