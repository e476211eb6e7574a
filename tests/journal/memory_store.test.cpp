// SPDX-License-Identifier: MIT
#include <again/journal/memory_store.hpp>

#include <again/coro/scope.hpp>
#include <again/coro/this_context.hpp>

#include "journal/store_contract.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>

using namespace again;
using namespace again_test;
using journal::error_kind;
using journal::store_call;

namespace {
struct fixture {
  virtual_clock time;
  run_loop loop{time, 1};
  journal::memory_store store;
  store_under_test<journal::memory_store> t{store, loop, time};
};
}  // namespace

TEST_CASE("the store in memory keeps the promises of a store") {
  for (const auto& promise : store_contract<journal::memory_store>()) {
    SUBCASE(promise.name) {
      fixture f;
      promise.run(f.t);
    }
  }
}

TEST_CASE("the store in memory keeps them also where each call takes time") {
  for (const auto& promise : store_contract<journal::memory_store>()) {
    SUBCASE(promise.name) {
      fixture f;
      f.store.delay(1us);
      promise.run(f.t);
    }
  }
}

TEST_CASE("calls fail as often as they are told to, with or without effect") {
  fixture f;
  f.store.fail(store_call::append, 2, error_kind::full);
  for (int i = 0; i < 2; ++i) {
    const auto got = f.t.append(numbered(1, 1));
    REQUIRE(!got);
    CHECK(got.error().kind == error_kind::full);
  }
  CHECK(f.store.count(event_state::waiting) == 0);
  f.store.fail(store_call::append, 1, error_kind::unreachable, true);
  CHECK(f.t.append(numbered(1, 1)).error().kind == error_kind::unreachable);
  CHECK(f.t.append(numbered(1, 1)) == journal::acknowledged{0, 1});
  CHECK(f.store.calls(store_call::append) == 4);
  f.store.fail_all(error_kind::read_only);
  CHECK(f.t.append(numbered(2, 2)).error().kind == error_kind::read_only);
  CHECK(sync_wait(f.loop, f.store.find("1")).error().kind == error_kind::read_only);
  f.store.mend();
  CHECK(f.t.append(numbered(2, 2)) == journal::acknowledged{1, 0});
}

TEST_CASE("a delayed call takes its time, ends at once when it is stopped, and may be destroyed") {
  fixture f;
  f.store.delay(1s);
  const time_point start = f.time.now();
  CHECK(f.t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
  CHECK(f.time.now() - start == 1s);
  const auto stopped = [&]() -> task<> {
    const context& here = co_await get_context();
    {
      scope s{here};
      std::optional<journal::stored_result<journal::acknowledged>> got;
      const auto one = [&]() -> task<> { got = co_await f.store.append(numbered(2, 2)); };
      s.spawn(one());
      s.request_stop();
      co_await s.join();
      CHECK(got->error().kind == error_kind::cancelled);
    }
    scope left{here};
    const auto two = [&]() -> task<> {
      const auto got = co_await f.store.append(numbered(3, 3));
      CHECK(!got);
    };
    left.spawn(two());
  };
  sync_wait(f.loop, stopped());
  CHECK(f.time.now() - start == 1s);
  CHECK(f.store.count(event_state::waiting) == 1);
}

TEST_CASE("a crash forgets leases, and cuts off what waits") {
  fixture f;
  CHECK(f.t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
  CHECK(f.t.take(10) == ids{"1"});
  f.store.delay(1s);
  const auto crashed = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    const auto cut_off = [&]() -> task<> {
      const auto got = co_await f.store.append(numbered(2, 2));
      CHECK(got.error().kind == error_kind::unreachable);
    };
    s.spawn(cut_off());
    f.store.crash();
    co_await s.join();
  };
  sync_wait(f.loop, crashed());
  f.store.delay(0s);
  CHECK(!f.t.done(f.t.claims[0]));
  CHECK(f.t.take(10) == ids{"1"});
}

TEST_CASE("a store that is full refuses further events, and takes them when others are finished") {
  fixture f;
  f.store.bound(2);
  CHECK(f.t.append(numbered(1, 2)) == journal::acknowledged{2, 0});
  CHECK(f.t.append(numbered(2, 3)).error().kind == error_kind::full);
  CHECK(f.t.append(numbered(1, 2)) == journal::acknowledged{0, 2});
  CHECK(f.t.take(1) == ids{"1"});
  CHECK(f.t.done(f.t.claims[0]));
  CHECK(f.t.append(numbered(3, 3)) == journal::acknowledged{1, 0});
}
