// SPDX-License-Identifier: MIT
#include <again/asio/async_run.hpp>

#include <again/asio/use_expected.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "asio_under_test.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using again_test::fail;
using again_test::outcome;
using namespace net::experimental::awaitable_operators;
using namespace std::chrono_literals;

namespace {

// ── what is run ──

again::task<outcome> at_once() { co_return 7; }
again::task<outcome> later() {
  co_await again::yield();
  co_return 8;
}
again::task<outcome> fails() { co_return fail(5); }
again::task<outcome> throws() {
  co_await again::yield();
  throw std::runtime_error{"no luck"};
}
// Until it is stopped.
again::task<outcome> for_ever() {
  (void)co_await again::sleep(1h);
  co_return (co_await again::get_stop_token()).stop_requested() ? again_test::aborted(1) : outcome{9};
}

// Counts itself, so that a test sees whether everything was destroyed.
struct counted {
  static inline std::atomic<int> alive{0};
  counted() noexcept { ++alive; }
  counted(const counted&) noexcept { ++alive; }
  counted& operator=(const counted&) = default;
  ~counted() { --alive; }
};

struct allocations {
  int made = 0;
  int alive = 0;
};
template <class T> struct counting_allocator {
  using value_type = T;
  std::shared_ptr<allocations> count;  // so that one that was moved from is of no use
  explicit counting_allocator(std::shared_ptr<allocations> n) : count{std::move(n)} {}
  template <class U> counting_allocator(const counting_allocator<U>& other) : count{other.count} {}  // NOLINT: converts
  T* allocate(std::size_t n) {
    ++count->made;
    ++count->alive;
    return std::allocator<T>{}.allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    --count->alive;
    std::allocator<T>{}.deallocate(p, n);
  }
  bool operator==(const counting_allocator&) const = default;
};

// A handler that takes its allocator along when it is moved.
struct allocating_handler {
  using allocator_type = counting_allocator<char>;
  allocator_type allocator;
  bool* done;
  allocator_type get_allocator() const noexcept { return allocator; }
  void operator()(const std::exception_ptr& /*e*/, const outcome& /*r*/) const { *done = true; }
};

// An awaitable that goes on on a thread of its own.
struct elsewhere {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    handle = h;
    thread->emplace([this] { handle.resume(); });
  }
  void await_resume() const noexcept {}
  std::coroutine_handle<> handle;
  std::optional<std::thread>* thread = nullptr;
};

// ── the tokens: each turns a call into an optional result; empty: an exception was rethrown ──

struct seen {
  std::optional<outcome> result;
  std::string thrown;
};
void note(seen& s, const std::exception_ptr& e, outcome r) {
  if (!e) {
    s.result = std::move(r);
    return;
  }
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) { s.thrown = x.what(); }
}

template <class A> seen by_callback(A&& a) {
  net::io_context io;
  seen s;
  again::asio::async_run(io, std::forward<A>(a), [&](std::exception_ptr e, outcome r) { note(s, e, std::move(r)); });
  CHECK_FALSE(s.result.has_value());  // never inside the initiating function
  io.run();
  return s;
}
template <class A> seen by_future(A&& a) {
  net::io_context io;
  seen s;
  std::future<outcome> f = again::asio::async_run(io, std::forward<A>(a), net::use_future);
  io.run();
  try {
    s.result = f.get();
  } catch (const std::exception& x) { s.thrown = x.what(); }
  return s;
}
template <class A, class Await> seen in_coroutine(A&& a, Await await) {
  net::io_context io;
  seen s;
  auto body = [](std::remove_cvref_t<A> run, Await how, seen& to) -> net::awaitable<void> {
    try {
      to.result = co_await how(std::move(run));
    } catch (const std::exception& x) { to.thrown = x.what(); }
  };
  net::co_spawn(io, body(std::forward<A>(a), await, s), net::detached);
  io.run();
  return s;
}
template <class A> seen by_awaitable(A&& a) {
  return in_coroutine(std::forward<A>(a), [](auto&& run) { return again::asio::async_run(std::move(run)); });
}
template <class A> seen by_deferred(A&& a) {
  net::io_context io;
  seen s;
  auto op = again::asio::async_run(io, std::forward<A>(a), tokens::deferred);
  io.run();
  io.restart();  // nothing was started
  std::move(op)([&](std::exception_ptr e, outcome r) { note(s, e, std::move(r)); });
  io.run();
  return s;
}
template <class A> seen by_tuple(A&& a) {
  net::io_context io;
  seen s;
  auto body = [](std::remove_cvref_t<A> run, seen& to) -> net::awaitable<void> {
    auto [e, r] = co_await again::asio::async_run(std::move(run), tokens::as_tuple(net::use_awaitable));
    note(to, e, std::move(r));
  };
  net::co_spawn(io, body(std::forward<A>(a), s), net::detached);
  io.run();
  return s;
}
template <class A> seen by_operators(A&& a) {
  net::io_context io;
  seen s;
  auto body = [](std::remove_cvref_t<A> run, seen& to) -> net::awaitable<void> {
    net::steady_timer slow{co_await net::this_coro::executor, 1h};
    try {
      auto both = co_await (again::asio::async_run(std::move(run)) || slow.async_wait(net::use_awaitable));
      to.result = std::get<0>(std::move(both));
    } catch (const std::exception& x) { to.thrown = x.what(); }
  };
  net::co_spawn(io, body(std::forward<A>(a), s), net::detached);
  io.run();
  return s;
}

template <class By> void every_outcome(By by, bool with_exception = true) {
  CHECK(**by([] { return at_once(); }).result == 7);
  CHECK(**by([] { return later(); }).result == 8);
  CHECK(by([] { return fails(); }).result->error().number == 5);
  if (with_exception) CHECK(by([] { return throws(); }).thrown == "no luck");
  CHECK(**by(later()).result == 8);  // a task, which runs once
}

net::awaitable<void> await_for_ever(std::optional<outcome>& result) {
  result = co_await again::asio::async_run(for_ever());
}

}  // namespace

TEST_CASE("every token gets every outcome") {
  SUBCASE("callback") {
    every_outcome([](auto&& a) { return by_callback(std::move(a)); });
  }
  SUBCASE("use_future") {
    every_outcome([](auto&& a) { return by_future(std::move(a)); });
  }
  SUBCASE("use_awaitable") {
    every_outcome([](auto&& a) { return by_awaitable(std::move(a)); });
  }
  SUBCASE("deferred") {
    every_outcome([](auto&& a) { return by_deferred(std::move(a)); });
  }
  SUBCASE("as_tuple") {
    every_outcome([](auto&& a) { return by_tuple(std::move(a)); });
  }
  SUBCASE("awaitable_operators") {
    every_outcome([](auto&& a) { return by_operators(std::move(a)); }, false);
  }  // || waits for a success
}

TEST_CASE("results of every kind: void, a value, one that cannot be copied, one without a default") {
  net::io_context io;
  int calls = 0;
  again::asio::async_run(io, []() -> again::task<> { co_return; }, [&](std::exception_ptr e) { calls += e ? 100 : 1; });
  again::asio::async_run(
      io, []() -> again::task<std::string> { co_return "text"; },
      [&](std::exception_ptr, std::string s) { calls += s == "text" ? 1 : 100; });
  again::asio::async_run(
      io, []() -> again::task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); },
      [&](std::exception_ptr, std::unique_ptr<int> p) { calls += *p == 3 ? 1 : 100; });
  struct plain {
    explicit plain(int n) : number{n} {}
    int number;
  };
  using result = again::expected<plain, int>;
  again::asio::async_run(
      io, []() -> again::task<result> { co_return plain{4}; },
      [&](std::exception_ptr, result r) { calls += r->number == 4 ? 1 : 100; });
  io.run();
  CHECK(calls == 4);
}

TEST_CASE("beside an exception, a handler that does not look at it gets no success") {
  net::io_context io;
  using result = again::expected<int, int>;
  const auto op = []() -> again::task<result> {
    throw std::runtime_error{"no luck"};
    co_return 1;
  };
  int calls = 0;
  again::asio::async_run(io, op, [&](std::exception_ptr, result r) { calls += r.has_value() ? 100 : 1; });
  again::asio::async_run(io, again::retry(again::policy{}, []() -> again::task<outcome> { return throws(); }),
                         [&](std::exception_ptr, again::expected<int, again::failure<again_test::trouble>> r) {
                           calls += r.has_value() ? 100 : 1;
                         });
  io.run();
  CHECK(calls == 2);
}

TEST_CASE("the operation and the handler run on the executor, and run returns when they have ended") {
  net::io_context io;
  std::thread::id operation, handler;
  again::asio::async_run(
      io,
      [&]() -> again::task<> {
        operation = std::this_thread::get_id();
        (void)co_await again::sleep(1ms);
        CHECK(operation == std::this_thread::get_id());
      },
      [&](std::exception_ptr) { handler = std::this_thread::get_id(); });
  std::thread runner{[&] { io.run(); }};
  const std::thread::id there = runner.get_id();
  runner.join();
  CHECK(operation == there);
  CHECK(handler == there);
}

TEST_CASE("run does not return while a call is pending, and returns at once afterwards, whatever timers were armed") {
  net::io_context io;
  bool done = false;
  // A worker outside of Asio: between the start and the post, Asio knows of nothing but our work guard.
  std::optional<std::thread> worker;
  again::asio::async_run(
      io,
      [&]() -> again::task<> {
        elsewhere e;
        e.thread = &worker;
        (void)co_await again::timeout(1h, [&]() -> again::task<outcome> {
          co_await e;
          co_return 1;
        });
      },
      [&](std::exception_ptr) { done = true; });
  io.run();
  worker->join();
  CHECK(done);  // and the timer of one hour has not kept run from returning
}

TEST_CASE("a bare call uses the associated executor of the handler") {
  net::io_context io;
  bool done = false;
  again::asio::async_run(at_once(), net::bind_executor(io, [&](std::exception_ptr, outcome r) { done = *r == 7; }));
  io.run();
  CHECK(done);
}

TEST_CASE("a bare call with use_future runs on Asio's system executor") {
  CHECK(*again::asio::async_run(later(), net::use_future).get() == 8);
}

TEST_CASE("the handler is called on its own executor, the operation on the one given") {
  net::thread_pool pool{1};
  net::io_context io;
  std::thread::id operation, handler;
  again::asio::async_run(
      pool,
      [&]() -> again::task<> {
        operation = std::this_thread::get_id();
        co_return;
      },
      net::bind_executor(io, [&](std::exception_ptr) { handler = std::this_thread::get_id(); }));
  io.run();  // does not return before: the call is work of this executor, too
  CHECK(handler == std::this_thread::get_id());
  CHECK(operation != handler);
  pool.join();
}

TEST_CASE("the operation is destroyed before the handler is called") {
  net::io_context io;
  int alive = -1;
  again::asio::async_run(
      io, [held = counted{}]() -> again::task<outcome> { co_return 1; },
      [&](std::exception_ptr, outcome) { alive = counted::alive; });
  io.run();
  CHECK(alive == 0);
}

TEST_CASE("the block comes from the handler's associated allocator, and goes back to it") {
  for (const bool bound : {false, true}) {
    const auto count = std::make_shared<allocations>();
    bool done = false;
    {
      net::io_context io;
      const counting_allocator<char> mine{count};
      if (bound) {
        again::asio::async_run(io, at_once(),
                               net::bind_allocator(mine, [&](std::exception_ptr, outcome) { done = true; }));
      } else {
        again::asio::async_run(io, at_once(), allocating_handler{mine, &done});
      }
      io.run();
    }
    CHECK(done);
    CHECK(count->made > 0);
    CHECK(count->alive == 0);
    CHECK(count.use_count() == 1);
  }
}

// ── cancellation ──

TEST_CASE("total, partial and terminal cancellation stop a pending call; none does not") {
  for (const auto type :
       {net::cancellation_type::total, net::cancellation_type::partial, net::cancellation_type::terminal}) {
    net::io_context io;
    net::cancellation_signal signal;
    std::optional<outcome> result;
    again::asio::async_run(
        io, for_ever(),
        net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, outcome r) { result = std::move(r); }));
    io.poll();
    signal.emit(net::cancellation_type::none);
    io.poll();
    CHECK_FALSE(result.has_value());
    signal.emit(type);
    io.run();
    REQUIRE(result.has_value());
    CHECK(result->error().kind == again::disposition::aborted);
  }
}

TEST_CASE("cancellation before the start, and after the end") {
  net::io_context io;
  net::cancellation_signal signal;
  std::optional<outcome> result;
  const auto call = [&](auto&& what) {
    result.reset();
    again::asio::async_run(
        io, std::move(what),
        net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, outcome r) { result = std::move(r); }));
  };
  call(for_ever());
  signal.emit(net::cancellation_type::terminal);  // before the io_context runs
  io.run();
  CHECK_FALSE(result->has_value());

  io.restart();
  call(at_once());
  io.run();
  CHECK(**result == 7);
  signal.emit(net::cancellation_type::terminal);  // nobody listens any more
  CHECK_FALSE(signal.slot().has_handler());
}

TEST_CASE("a signal that is emitted between the end of the operation and its handler changes nothing") {
  net::io_context io;
  net::cancellation_signal signal;
  std::optional<outcome> result;
  again::asio::async_run(io, at_once(), net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, outcome r) {
                           result = std::move(r);
                         }));
  io.run_one();  // the operation; its handler is posted
  CHECK_FALSE(result.has_value());
  signal.emit(net::cancellation_type::all);
  io.run();
  CHECK(**result == 7);
}

TEST_CASE("a coroutine of Asio is cancelled by its signal, and by the other side of ||") {
  net::io_context io;
  std::optional<outcome> result;
  SUBCASE("signal") {
    net::cancellation_signal signal;
    net::co_spawn(io, await_for_ever(result), net::bind_cancellation_slot(signal.slot(), net::detached));
    io.poll();
    signal.emit(net::cancellation_type::terminal);
    io.run();
  }
  SUBCASE("||") {
    auto both = [](std::optional<outcome>& to) -> net::awaitable<void> {
      net::steady_timer soon{co_await net::this_coro::executor, 1ms};
      auto first = co_await (await_for_ever(to) || soon.async_wait(net::use_awaitable));
      CHECK(first.index() == 1);
    };
    net::co_spawn(io, both(result), net::detached);
    io.run();
  }
  REQUIRE(result.has_value());
  CHECK_FALSE(result->has_value());
}

// ── handlers that throw, and calls from inside of calls ──

TEST_CASE("what a completion handler throws leaves run; the other calls are not lost") {
  net::io_context io;
  int done = 0;
  const auto op = []() -> again::task<> { (void)co_await again::sleep(1ms); };
  for (int i = 0; i < 3; ++i) {
    again::asio::async_run(io, op, [&, i](std::exception_ptr) {
      ++done;
      if (i == 1) throw std::runtime_error{"no luck"};
    });
  }
  int thrown = 0;
  for (bool again = true; again;) {
    try {
      io.run();
      again = false;
    } catch (const std::runtime_error&) { ++thrown; }
  }
  CHECK(thrown == 1);
  CHECK(done == 3);
  bool later_one = false;
  again::asio::async_run(io, op, [&](std::exception_ptr) { later_one = true; });
  io.restart();
  io.run();
  CHECK(later_one);
}

TEST_CASE("an exception that a coroutine of Asio does not catch leaves run by its completion handler") {
  net::io_context io;
  auto body = []() -> net::awaitable<void> {
    (void)co_await again::asio::async_run(later());
    throw std::runtime_error{"no luck"};
  };
  net::co_spawn(io, body(), [](const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);
  });
  CHECK_THROWS_AS(io.run(), std::runtime_error);
}

TEST_CASE("nothing of other calls runs inside an initiating function") {
  net::io_context io;
  std::vector<int> order;
  again::asio::async_run(io, later(), [&](std::exception_ptr, outcome) { order.push_back(2); });
  net::post(io, [&] {
    again::asio::async_run(io, at_once(), [&](std::exception_ptr, outcome) { order.push_back(3); });
    order.push_back(1);
  });
  io.run();
  REQUIRE(order.size() == 3);
  CHECK(order[0] == 1);
}

TEST_CASE("a call that is made by an operation of another one, and by a handler") {
  net::io_context io;
  int done = 0;
  const auto inner = [&] {
    again::asio::async_run(io, at_once(), [&](std::exception_ptr, outcome) { ++done; });
    again::asio::async_run(io, later(), [&](std::exception_ptr, outcome) { ++done; });
  };
  const auto op = [&]() -> again::task<> {
    inner();
    co_await again::yield();
    inner();
  };
  again::asio::async_run(io, op, [&](std::exception_ptr) { inner(); });
  io.run();
  CHECK(done == 6);
}

// ── the end of the execution context ──

TEST_CASE("a stopped io_context keeps the call, and goes on when it is run again") {
  net::io_context io;
  net::steady_timer gate{io, 1h};
  bool done = false;
  again::asio::async_run(
      io, [&]() -> again::task<> { (void)co_await gate.async_wait(again::asio::use_expected); },
      [&](std::exception_ptr) { done = true; });
  io.poll();
  io.stop();
  io.run();
  CHECK_FALSE(done);
  gate.cancel();
  io.restart();
  io.run();
  CHECK(done);
}

TEST_CASE("an io_context that is destroyed destroys operation and handler, and does not call the handler") {
  bool called = false;
  const auto handler = [&called, held = counted{}](auto&&...) { called = true; };
  const int before = counted::alive;
  const auto operation = [held = counted{}]() -> again::task<outcome> {
    const counted local;
    co_return co_await for_ever();
  };
  SUBCASE("before it has run") {
    net::io_context io;
    again::asio::async_run(io, operation, handler);
  }
  SUBCASE("while the operation waits") {
    net::io_context io;
    again::asio::async_run(io, operation, handler);
    io.poll();
    CHECK(counted::alive > before + 2);
  }
  SUBCASE("between the end of the operation and its handler") {
    net::io_context io;
    again::asio::async_run(io, at_once(), handler);
    io.run_one();
  }
  SUBCASE("the awaiting coroutine owns the operation, and others wait for it") {
    net::io_context io;
    std::optional<outcome> result;
    auto outer = [](std::optional<outcome>& to, auto op) -> net::awaitable<void> {
      const counted local;
      to = co_await again::asio::async_run(op);
    };
    for (int i = 0; i < 3; ++i) net::co_spawn(io, outer(result, operation), net::detached);
    io.poll();
  }
  SUBCASE("the signal is destroyed first") {
    net::io_context io;
    net::cancellation_signal signal;
    again::asio::async_run(io, operation, net::bind_cancellation_slot(signal.slot(), handler));
    io.poll();
  }
  SUBCASE("a thread_pool") {
    net::thread_pool pool{2};
    again::asio::async_run(pool, operation, handler);
    pool.stop();
  }
  CHECK_FALSE(called);
  CHECK(counted::alive == before + 1);  // `operation` itself
}

// ── threads ──

TEST_CASE("on a pool of four threads the callbacks of all calls run one at a time") {
  net::thread_pool pool{4};
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::atomic<int> done{0};
  const auto op = [&]() -> again::task<> {
    for (int i = 0; i < 20; ++i) {
      most = std::max(most.load(), ++inside);
      --inside;
      co_await again::yield();
    }
  };
  for (int i = 0; i < 100; ++i) again::asio::async_run(pool, op, [&](std::exception_ptr) { ++done; });
  pool.join();
  CHECK(done == 100);
  CHECK(most == 1);
}

TEST_CASE("on a strand, calls and other handlers of the strand run one at a time") {
  net::thread_pool pool{4};
  auto strand = net::make_strand(pool.get_executor());
  int unguarded = 0;  // a race, if the strand were left
  std::atomic<int> done{0};
  const auto op = [&]() -> again::task<> {
    for (int i = 0; i < 20; ++i) {
      ++unguarded;
      co_await again::yield();
    }
  };
  for (int i = 0; i < 50; ++i) {
    again::asio::async_run(strand, op, [&](std::exception_ptr) {
      ++unguarded;
      ++done;
    });
    net::post(strand, [&] { ++unguarded; });
  }
  pool.join();
  CHECK(done == 50);
  CHECK(unguarded == 50 * 22);
}

TEST_CASE("calls, cancellation and completion from four threads") {
  net::thread_pool pool{4};
  std::atomic<int> stopped{0};
  constexpr int calls = 200;
  std::vector<std::unique_ptr<net::cancellation_signal>> signals;
  for (int i = 0; i < calls; ++i) {
    signals.push_back(std::make_unique<net::cancellation_signal>());
    auto strand = net::make_strand(pool.get_executor());
    auto& signal = *signals.back();
    net::dispatch(strand, [&, strand] {
      again::asio::async_run(
          pool, for_ever(),
          net::bind_executor(strand, net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, outcome r) {
                               if (!r) ++stopped;
                             })));
      net::post(strand, [&] { signal.emit(net::cancellation_type::terminal); });
    });
  }
  pool.join();
  CHECK(stopped == calls);
}

TEST_CASE("a thousand strands: schedulers that are not in use are given up") {
  net::io_context io;
  int done = 0;
  for (int i = 0; i < 1000; ++i) {
    again::asio::async_run(net::make_strand(io), later(), [&](std::exception_ptr, outcome) { ++done; });
    io.run();
    io.restart();
  }
  CHECK(done == 1000);
}
