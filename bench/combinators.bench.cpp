// SPDX-License-Identifier: MIT
// What each further combinator adds to an operation that succeeds at once.
#include "harness.hpp"

#include <again/again.hpp>

#include <chrono>
#include <utility>

#if __has_include(<again/protection/budget.hpp>) && __has_include(<again/protection/guard.hpp>) && __has_include(<again/protection/limit.hpp>) && __has_include(<again/protection/rate.hpp>)
#include <again/protection/breaker.hpp>
#include <again/protection/budget.hpp>
#include <again/protection/guard.hpp>
#include <again/protection/limit.hpp>
#include <again/protection/rate.hpp>
#define BENCH_PROTECTION 1
#endif

namespace {

using namespace std::chrono_literals;

struct error {
  int code;
};
using result = again::expected<int, error>;

[[gnu::noinline]] again::task<result> attempt(int& x) {
  ++x;
  co_return result{7};
}
[[gnu::noinline]] again::task<int> plain(int& x) {
  ++x;
  co_return 7;
}

constexpr auto no_clock = again::checked({.attempts = 4,
                                          .backoff = again::constant(0ns),
                                          .jitter = again::jitter::none,
                                          .attempt_timeout = again::forever,
                                          .deadline = again::forever});

// `make()` gives something new to await, n times from one coroutine.
template <class Make> again::task<int> repeated(Make make, std::size_t n) {
  int good = 0;
  for (std::size_t i = 0; i < n; ++i) {
    auto r = co_await make();
    good += r.has_value();
  }
  co_return good;
}

}  // namespace

int main(int argc, char** argv) {
  bench::suite s{"combinators", argc, argv};
  int x = 0;
  const auto op = [&x] { return attempt(x); };
  const auto waits = [](auto make) {
    return [make](std::size_t n) { bench::keep(again::sync_wait(repeated(make, n))); };
  };
  using goal = bench::suite::goal;
  const std::string alone = "around a success";
  const auto adds = [&](const std::string& who, const std::string& to, double limit, const std::string& why) {
    s.add_goal(goal{.text = who + ": ns more than " + to + why,
                    .group = alone,
                    .who = who,
                    .against_group = {},
                    .against = {},
                    .limit = limit,
                    .metric = "ns",
                    .at_least = false,
                    .minus_group = {},
                    .minus = to});
    s.add_goal(goal{.text = who + ": allocations",
                    .group = alone,
                    .who = who,
                    .against_group = {},
                    .against = {},
                    .limit = 0,
                    .metric = "allocations"});
  };
  const std::string reads = " (reads the clock)";

  s.add(alone, "the operation", waits([op] { return op(); }));
  s.add(alone, "steady_clock::now, twice", [](std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      bench::keep(std::chrono::steady_clock::now());
      bench::keep(std::chrono::steady_clock::now());
    }
  });
  s.add(alone, "retry", waits([op] { return again::retry(no_clock, op); }));
  s.add(alone, "retry.when",
        waits([op] { return again::retry(no_clock, op).when([](const error& e) { return e.code > 500; }); }));
  int seen = 0;
  s.add(alone, "retry.observe", waits([op, &seen] {
          return again::retry(no_clock, op).observe([&seen](const again::attempt_record&) { ++seen; });
        }));
  adds("retry.observe", "retry", 40, reads);
  s.add(alone, "timeout", waits([op] { return again::timeout(1s, op); }));
  adds("timeout", "the operation", 40, reads);
  s.add(alone, "timeout around retry", waits([op] { return again::timeout(1s, again::retry(no_clock, op)); }));
  adds("timeout around retry", "retry", 40, reads);
  s.add(alone, "retry around retry", waits([op] { return again::retry(no_clock, again::retry(no_clock, op)); }));
  adds("retry around retry", "retry", 15, "");
  s.add(alone, "catching", waits([&x] { return again::catching([&x] { return plain(x); }); }));
  adds("catching", "the operation", 15, "");

#ifdef BENCH_PROTECTION
  again::breaker circuit;
  again::budget shared{again::budgets::ratio{}};
  again::limiter slots{{.in_flight = 16, .queue = 64}};
  again::rate_limiter quota{{.per_second = 1e9, .burst = 1'000'000}};
  s.add(alone, "guard (breaker)", waits([op, &circuit] { return again::guard(circuit, op); }));
  adds("guard (breaker)", "the operation", 40, reads);
  s.add(alone, "limit", waits([op, &slots] { return again::limit(slots, op); }));
  adds("limit", "the operation", 15, "");
  s.add(alone, "rate", waits([op, &quota] { return again::rate(quota, op); }));
  adds("rate", "the operation", 40, reads);
  const auto attached = [&](auto&& o) {
    using operation_type = std::decay_t<decltype(o)>;
    if constexpr (requires(again::budget& b) {
                    again::retry(no_clock, std::declval<const operation_type&>()).budget(b);
                  }) {
      s.add(alone, "retry.budget", waits([o, &shared] { return again::retry(no_clock, o).budget(shared); }));
      adds("retry.budget", "retry", 40, reads);
    }
    if constexpr (requires(again::breaker& b) {
                    again::retry(no_clock, std::declval<const operation_type&>()).breaker(b);
                  }) {
      s.add(alone, "retry.breaker", waits([o, &circuit] { return again::retry(no_clock, o).breaker(circuit); }));
      adds("retry.breaker", "retry", 40, reads);
    }
  };
  attached(op);
#endif

  // Two at once, both of which finish at once.
  const std::string two = "two operations";
  s.add(two, "one after the other", [op](std::size_t n) {
    bench::keep(again::sync_wait([](auto make, std::size_t turns) -> again::task<int> {
      int good = 0;
      for (std::size_t i = 0; i < turns; ++i) {
        auto a = co_await make();
        auto b = co_await make();
        good += a.has_value() + b.has_value();
      }
      co_return good;
    }(op, n)));
  });
  s.add(two, "when_all", [op](std::size_t n) {
    bench::keep(again::sync_wait([](auto make, std::size_t turns) -> again::task<int> {
      int good = 0;
      for (std::size_t i = 0; i < turns; ++i) {
        auto both = co_await again::when_all(make(), make());
        good += std::get<0>(both).has_value() + std::get<1>(both).has_value();
      }
      co_return good;
    }(op, n)));
  });
  s.add(two, "when_any", [op](std::size_t n) {
    bench::keep(again::sync_wait([](auto make, std::size_t turns) -> again::task<int> {
      std::size_t first = 0;
      for (std::size_t i = 0; i < turns; ++i) {
        auto any = co_await again::when_any(make(), make());
        bench::keep(any);
        ++first;
      }
      co_return static_cast<int>(first);
    }(op, n)));
  });
  return s.run();
}
