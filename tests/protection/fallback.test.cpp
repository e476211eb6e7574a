// SPDX-License-Identifier: MIT
#include <again/protection/fallback.hpp>

#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>
#include <again/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/scripted_peer.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;

namespace {
constexpr again::policy twice{.attempts = 2, .backoff = again::constant(100ms), .jitter = again::jitter::none};
}  // namespace

TEST_CASE("a success needs no substitute") {
  world w;
  peer first{stopped};
  peer second{stopped};
  first.gives(1).gives(2);
  int asked = 0;
  CHECK(w.run(again::fallback(std::ref(first), std::ref(second))).value() == 1);
  CHECK(w.run(again::fallback(std::ref(first), [&] { return ++asked; })).value() == 2);
  CHECK(second.calls().empty());
  CHECK(asked == 0);
}

TEST_CASE("a failure is replaced by a value, by a function of nothing, or by a function of the error") {
  world w;
  peer p{stopped};
  p.fails(trouble{1}).fails(trouble{2}).fails(trouble{3});
  CHECK(w.run(again::fallback(std::ref(p), 42)).value() == 42);
  CHECK(w.run(again::fallback(std::ref(p), [] { return 43; })).value() == 43);
  CHECK(w.run(again::fallback(std::ref(p), [](const trouble& t) { return t.number * 10; })).value() == 30);
}

TEST_CASE("the failure of a retry is seen whole") {
  world w;
  peer p{stopped};
  p.fails(trouble{1}).fails(trouble{2});
  auto op = again::fallback(again::retry(twice, std::ref(p)),
                            [](const again::failure<trouble>& f) { return f.attempts() * 100 + f.error()->number; });
  CHECK(w.run(op).value() == 202);
}

TEST_CASE("a failure is replaced by another operation, whose error is the result's") {
  world w;
  peer near{stopped};
  peer far{stopped};
  near.fails(trouble{1}).fails(trouble{2});
  far.gives(5).takes(1s).fails(trouble{6});
  auto op = again::fallback(std::ref(near), std::ref(far));
  CHECK(w.run(op).value() == 5);
  CHECK(w.elapsed() == 1s);
  CHECK(w.run(op).error().number == 6);
}

TEST_CASE("errors of two types: the second's is the result's") {
  world w;
  peer near{stopped};
  near.fails(trouble{1}).fails(trouble{2});
  auto op = again::fallback(std::ref(near), []() -> again::task<again::expected<int, std::string>> {
    co_return again::expected<int, std::string>{again::unexpect, "empty"};
  });
  CHECK(w.run(op).error() == "empty");
}

TEST_CASE("after a stop request there is no substitute") {
  world w;
  peer p{stopped};
  p.hangs();
  int asked = 0;
  auto op = again::timeout(1s, again::fallback(std::ref(p), [&] { return ++asked; }));
  CHECK(w.run(op).error().reason() == stop_reason::deadline_reached);
  CHECK(asked == 0);
}

TEST_CASE("a timeout inside is a failure like any other") {
  world w;
  peer p{stopped};
  p.hangs();
  CHECK(w.run(again::fallback(again::timeout(1s, std::ref(p)), 42)).value() == 42);
  CHECK(w.elapsed() == 1s);
}

TEST_CASE("with a predicate only the failures that it names get the substitute, the others are the result") {
  world w;
  const auto odd = [](const trouble& t) { return t.number % 2 == 1; };
  SUBCASE("by a value") {
    peer p{stopped};
    p.fails(trouble{1}).fails(trouble{2}).gives(3);
    auto op = again::fallback(std::ref(p), 42).when(odd);
    CHECK(w.run(op).value() == 42);
    CHECK(w.run(op).error().number == 2);
    CHECK(w.run(op).value() == 3);
  }
  SUBCASE("by a function") {
    peer p{stopped};
    p.fails(trouble{2}).fails(trouble{3});
    int asked = 0;
    auto op = again::fallback(std::ref(p), [&](const trouble& t) { return ++asked, t.number * 10; }).when(odd);
    CHECK(w.run(op).error().number == 2);
    CHECK(asked == 0);
    CHECK(w.run(op).value() == 30);
  }
  SUBCASE("by another operation") {
    peer near{stopped};
    peer far{stopped};
    near.fails(trouble{2}).takes(1s).fails(trouble{1}).takes(1s);
    far.gives(5);
    auto op = again::fallback(std::ref(near), std::ref(far)).when(odd);
    CHECK(w.run(op).error().number == 2);
    CHECK(far.calls().empty());
    CHECK(w.run(op).value() == 5);
  }
  SUBCASE("by another operation, into whose error the first one's can be made") {
    peer near{stopped};
    near.fails(trouble{2});
    struct wide {
      int number;
      explicit wide(trouble&& t) : number{t.number + 100} {}
    };
    auto far = []() -> again::task<again::expected<int, wide>> { co_return 1; };
    CHECK(w.run(again::fallback(std::ref(near), far).when(odd)).error().number == 102);
  }
  SUBCASE("in a pipe; and it can fail, so that a retry may stand around it") {
    peer p{stopped};
    p.fails(trouble{2}).fails(trouble{1});
    CHECK(w.run(std::ref(p) | again::fallback(42).when(odd) | again::retry(twice)).value() == 42);
    CHECK(p.complaint({100ms}) == "");
  }
  SUBCASE("what the predicate throws passes") {
    peer p{stopped};
    p.fails(trouble{1});
    auto op = again::fallback(std::ref(p), 1).when([](const trouble&) -> bool { throw std::runtime_error{"why"}; });
    CHECK_THROWS_WITH(w.run(op), "why");
  }
}

TEST_CASE("exceptions of the operation, the substitute and its function pass") {
  world w;
  peer p{stopped};
  peer q{stopped};
  p.throws(std::runtime_error{"first"}).fails(trouble{1}).fails(trouble{2});
  q.throws(std::runtime_error{"second"});
  CHECK_THROWS_WITH(w.run(again::fallback(std::ref(p), 1)), "first");
  CHECK_THROWS_WITH(w.run(again::fallback(std::ref(p), std::ref(q))), "second");
  auto broken = again::fallback(std::ref(p), []() -> int { throw std::runtime_error{"third"}; });
  CHECK_THROWS_WITH(w.run(broken), "third");
}

TEST_CASE("an operation without a value") {
  world w;
  again::testing::script<void, trouble> p{stopped};
  p.fails(trouble{1}).fails(trouble{2});
  int asked = 0;
  CHECK(w.run(again::fallback(std::ref(p), [&] { ++asked; })));
  CHECK(w.run(again::fallback(std::ref(p), [&](const trouble& t) { asked += t.number; })));
  CHECK(asked == 3);
}
