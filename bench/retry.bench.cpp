// SPDX-License-Identifier: MIT
// What `retry` costs beside the loop that one would write by hand in the same coroutine type, and beside the bare await.
#include "harness.hpp"

#include <again/core/expected.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/retry.hpp>

#include <exception>
#include <future>
#include <stdexcept>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

struct error {
  int code;
  again::verdict verdict() const noexcept {
    return {.kind = code < 500 ? again::disposition::permanent : again::disposition::transient,
            .reach = again::reach::answered,
            .code = code};
  }
};
using result = again::expected<int, error>;

// The operation: fails `failures` times, then succeeds. Never inlined into its caller: a real one is not either.
[[gnu::noinline]] again::task<result> attempt(int& failures) {
  if (failures > 0) {
    --failures;
    co_return again::unexpected<error>{error{503}};
  }
  co_return result{7};
}
[[gnu::noinline]] again::task<int> throwing(int& failures) {
  if (failures > 0) {
    --failures;
    throw std::runtime_error{"busy"};
  }
  co_return 7;
}

// Without a bound in time no clock is read; with one it has to be.
constexpr auto no_clock = again::checked({.attempts = 4,
                                          .backoff = again::constant(0ns),
                                          .jitter = again::jitter::none,
                                          .attempt_timeout = again::forever,
                                          .deadline = again::forever});
// All that a policy can ask for, with waits of no length.
constexpr auto bounded = again::checked({.attempts = 4,
                                         .backoff = again::constant(0ns),
                                         .jitter = again::jitter::full,
                                         .attempt_timeout = 1s,
                                         .deadline = 5s});
constexpr again::checked_policy usual{again::policy{}};

// ── by hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────

// A function that retries, as everyone writes it.
[[gnu::noinline]] again::task<result> loop_by_hand(int& failures) {
  for (int i = 1;; ++i) {
    result r = co_await attempt(failures);
    if (r.has_value() || i == 4 || r.error().verdict().kind != again::disposition::transient) co_return r;
  }
}
[[gnu::noinline]] again::task<int> catch_by_hand(int& failures) {
  for (int i = 1;; ++i) {
    try {
      co_return co_await throwing(failures);
    } catch (const std::exception&) {
      if (i == 4) throw;
    }
  }
}
// Looks at the clock as one has to for a deadline, and at a stop token.
[[gnu::noinline]] again::task<result> bounded_by_hand(int& failures, again::inplace_stop_token stop) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 1;; ++i) {
    result r = co_await attempt(failures);
    if (r.has_value() || i == 4 || r.error().verdict().kind != again::disposition::transient || stop.stop_requested() ||
        std::chrono::steady_clock::now() - start > 5s) {
      co_return r;
    }
  }
}

// ── the measured bodies: n awaits from one coroutine ─────────────────────────────────────────────────────────────────

again::task<int> bare(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = 0;
    sum += (co_await attempt(failures)).value();
  }
  co_return sum;
}
again::task<int> by_hand(std::size_t n, int fail) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = fail;
    sum += (co_await loop_by_hand(failures)).value();
  }
  co_return sum;
}
// The same loop written out in the caller, which few do twice: no frame of its own.
again::task<int> in_place_by_hand(std::size_t n, int fail) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = fail;
    for (int tried = 1;; ++tried) {
      result r = co_await attempt(failures);
      if (r.has_value()) {
        sum += *r;
        break;
      }
      if (tried == 4 || r.error().verdict().kind != again::disposition::transient) break;
    }
  }
  co_return sum;
}
template <const again::checked_policy& Policy> again::task<int> retried(std::size_t n, int fail) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = fail;
    auto r = co_await again::retry(Policy, [&] { return attempt(failures); });
    sum += r.value();
  }
  co_return sum;
}
again::task<int> retried_when(std::size_t n, int fail) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = fail;
    sum += (co_await again::retry(bounded, [&] { return attempt(failures); }).when([](const error& e) {
             return e.code >= 500;
           })).value();
  }
  co_return sum;
}
again::task<int> bounded_hand(std::size_t n, int fail, again::inplace_stop_token stop) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = fail;
    sum += (co_await bounded_by_hand(failures, stop)).value();
  }
  co_return sum;
}
again::task<int> catching_hand(std::size_t n, int fail) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = fail;
    sum += co_await catch_by_hand(failures);
  }
  co_return sum;
}
again::task<int> catching_retry(std::size_t n, int fail) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = fail;
    sum += (co_await again::retry(no_clock, again::catching([&] { return throwing(failures); }))).value();
  }
  co_return sum;
}
again::task<int> gives_up(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = 9;
    sum += (co_await again::retry(no_clock, [&] { return attempt(failures); })).error().attempts();
  }
  co_return sum;
}
again::task<int> gives_up_by_hand(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = 9;
    sum += (co_await loop_by_hand(failures)).error().code;
  }
  co_return sum;
}

// ── Boost.Asio's coroutine with the same loop ────────────────────────────────────────────────────────────────────────

[[gnu::noinline]] asio::awaitable<result> asio_attempt(int& failures) {
  if (failures > 0) {
    --failures;
    co_return again::unexpected<error>{error{503}};
  }
  co_return result{7};
}
[[gnu::noinline]] asio::awaitable<result> asio_loop(int& failures) {
  for (int i = 1;; ++i) {
    result r = co_await asio_attempt(failures);
    if (r.has_value() || i == 4 || r.error().verdict().kind != again::disposition::transient) co_return r;
  }
}
asio::awaitable<void> asio_retried(std::size_t n, int fail) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = fail;
    sum += (co_await asio_loop(failures)).value();
  }
  bench::keep(sum);
}
void asio_run(asio::awaitable<void> all) {
  asio::io_context loop{1};
  asio::co_spawn(loop, std::move(all), asio::detached);
  loop.run();
}

// ── the same loop on a thread, as it is written without coroutines ───────────────────────────────────────────────────

[[gnu::noinline]] result blocking_attempt(int& failures) {
  if (failures > 0) {
    --failures;
    return again::unexpected<error>{error{503}};
  }
  return result{7};
}
void async_retried(std::size_t n, int fail) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    auto done = std::async(std::launch::async, [fail] {
      int failures = fail;
      for (int tried = 1;; ++tried) {
        result r = blocking_attempt(failures);
        if (r.has_value() || tried == 4 || r.error().verdict().kind != again::disposition::transient) return r;
      }
    });
    sum += done.get().value();
  }
  bench::keep(sum);
}

template <class F> auto waits(F f) {
  return [f](std::size_t n) { bench::keep(again::sync_wait(f(n))); };
}

}  // namespace

int main(int argc, char** argv) {
  bench::suite s{"retry", argc, argv};
  again::inplace_stop_source source;
  const again::inplace_stop_token stop = source.get_token();
  const auto with_stop = [stop](auto f) {
    return [f, stop](std::size_t n) { bench::keep(again::sync_wait(f(n), stop)); };
  };

  s.add("no retry", "bare await", waits([](std::size_t n) { return bare(n); }));
  s.add("1st attempt", "again::retry", waits([](std::size_t n) { return retried<no_clock>(n, 0); }));
  s.add("1st attempt", "loop by hand", waits([](std::size_t n) { return by_hand(n, 0); }));
  s.add("1st attempt", "loop by hand, in the caller", waits([](std::size_t n) { return in_place_by_hand(n, 0); }));
  s.add("1st attempt", "loop in asio::awaitable", [](std::size_t n) { asio_run(asio_retried(n, 0)); });
  s.add("1st attempt", "loop in std::async", [](std::size_t n) { async_retried(n, 0); }, bench::timed_by::process);
  s.add("1st attempt", "again::retry, usual policy", waits([](std::size_t n) { return retried<usual>(n, 0); }));
  s.add("4th attempt", "again::retry", waits([](std::size_t n) { return retried<no_clock>(n, 3); }));
  s.add("4th attempt", "loop by hand", waits([](std::size_t n) { return by_hand(n, 3); }));
  s.add("4th attempt", "loop by hand, in the caller", waits([](std::size_t n) { return in_place_by_hand(n, 3); }));
  s.add("4th attempt", "loop in asio::awaitable", [](std::size_t n) { asio_run(asio_retried(n, 3)); });
  s.add("bounded, 1st attempt", "again::retry", with_stop([](std::size_t n) { return retried<bounded>(n, 0); }));
  s.add("bounded, 1st attempt", "loop by hand", with_stop([stop](std::size_t n) { return bounded_hand(n, 0, stop); }));
  s.add("bounded, 4th attempt", "again::retry", with_stop([](std::size_t n) { return retried<bounded>(n, 3); }));
  s.add("bounded, 4th attempt", "again::retry, .when", with_stop([](std::size_t n) { return retried_when(n, 3); }));
  s.add("bounded, 4th attempt", "loop by hand", with_stop([stop](std::size_t n) { return bounded_hand(n, 3, stop); }));
  s.add("3 throws, then success", "again::catching", waits([](std::size_t n) { return catching_retry(n, 3); }));
  s.add("3 throws, then success", "try/catch by hand", waits([](std::size_t n) { return catching_hand(n, 3); }));
  s.add("gives up after 4", "again::retry", waits([](std::size_t n) { return gives_up(n); }));
  s.add("gives up after 4", "loop by hand", waits([](std::size_t n) { return gives_up_by_hand(n); }));

  using goal = bench::suite::goal;
  const std::string first = "1st attempt", fourth = "4th attempt", ours = "again::retry", hand = "loop by hand";
  s.add_goal(goal{.text = "success at once / loop by hand",
                  .group = first,
                  .who = ours,
                  .against_group = {},
                  .against = hand,
                  .limit = 0.7});
  s.add_goal(goal{.text = "success at once / bare await",
                  .group = first,
                  .who = ours,
                  .against_group = "no retry",
                  .against = "bare await",
                  .limit = 1.35});
  s.add_goal(goal{.text = "allocations, success at once",
                  .group = first,
                  .who = ours,
                  .against_group = {},
                  .against = {},
                  .limit = 0,
                  .metric = "allocations"});
  s.add_goal(goal{.text = "success at the 4th attempt / loop by hand",
                  .group = fourth,
                  .who = ours,
                  .against_group = {},
                  .against = hand,
                  .limit = 0.9});
  s.add_goal(goal{.text = "allocations, success at the 4th",
                  .group = fourth,
                  .who = ours,
                  .against_group = {},
                  .against = {},
                  .limit = 0,
                  .metric = "allocations"});
  s.add_goal(goal{.text = "classifier, stop token, jitter and deadline: ns per extra attempt",
                  .group = "bounded, 4th attempt",
                  .who = "again::retry, .when",
                  .against_group = {},
                  .against = {},
                  .limit = 45,
                  .metric = "ns",
                  .at_least = false,
                  .minus_group = "bounded, 1st attempt",
                  .minus = ours,
                  .per = 3});
  s.add_goal(goal{.text = "allocations, bounded, 4th attempt",
                  .group = "bounded, 4th attempt",
                  .who = "again::retry, .when",
                  .against_group = {},
                  .against = {},
                  .limit = 0,
                  .metric = "allocations"});
  s.add_goal(goal{.text = "catching / try and catch by hand",
                  .group = "3 throws, then success",
                  .who = "again::catching",
                  .against_group = {},
                  .against = "try/catch by hand",
                  .limit = 0.5});
  return s.run();
}
