// SPDX-License-Identifier: MIT
#include <again/metrics/retry_metrics.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/retry.hpp>
#include <again/testing.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace again;
using namespace std::chrono_literals;

namespace {

struct broken {
  reach far = reach::answered;
  disposition kind = disposition::transient;
  again::verdict verdict() const { return {.kind = kind, .reach = far, .code = 503, .name = "status"}; }
};
using peer = again::testing::script<int, broken>;
const broken stopped{reach::maybe_sent, disposition::aborted};

constexpr policy three{
    .attempts = 3, .backoff = constant(100ms), .jitter = jitter::none, .attempt_timeout = 5s, .deadline = 20s};

struct pretend {
  virtual_clock time;
  run_loop loop{time};
  template <class A> auto wait(A&& a) { return sync_wait(loop, std::forward<A>(a)); }
};

std::string page_of(const retry_metrics& numbers) { return metrics_page{}.add(numbers).text(); }
bool has(const std::string& page, const std::string& line) {
  return ("\n" + page).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("a success after two failures counts one call, three attempts and two retries") {
  pretend p;
  retry_metrics numbers{"quotes"};
  peer quote{stopped};
  quote.fails({reach::not_sent}).takes(30ms).fails({reach::answered}).takes(30ms).gives(42).takes(40ms);
  const auto r = p.wait(measure(numbers, retry(three, std::ref(quote))));
  REQUIRE(r);
  CHECK(*r == 42);
  CHECK(numbers.calls_started() == 1);
  CHECK(numbers.calls_succeeded() == 1);
  CHECK(numbers.calls_failed() == 0);
  CHECK(numbers.attempts_made() == 3);
  CHECK(numbers.retries() == 2);
  CHECK(numbers.call_durations().sum() == 300ms);
  CHECK(numbers.attempt_durations().sum() == 100ms);
  const std::string page = page_of(numbers);
  CHECK(has(page, R"(again_attempts_total{call="quotes",outcome="ok"} 1)"));
  CHECK(has(page, R"(again_attempts_total{call="quotes",outcome="not_sent"} 1)"));
  CHECK(has(page, R"(again_attempts_total{call="quotes",outcome="answered"} 1)"));
  CHECK(has(page, R"(again_attempts_total{call="quotes",outcome="maybe_sent"} 0)"));
  CHECK(has(page, R"(again_call_duration_seconds_sum{call="quotes"} 0.3)"));
}

TEST_CASE("a failure is counted by its reason, and its attempts are those of its result") {
  pretend p;
  retry_metrics numbers{"x"};
  peer busy{stopped}, refused{stopped};
  busy.fails({}).fails({}).fails({});
  refused.fails({reach::answered, disposition::permanent});
  const auto a = p.wait(measure(numbers, retry(three, std::ref(busy))));
  const auto b = p.wait(measure(numbers, retry(three, std::ref(refused))));
  REQUIRE(!a);
  REQUIRE(!b);
  CHECK(numbers.calls_failed(stop_reason::attempts_exhausted) == 1);
  CHECK(numbers.calls_failed(stop_reason::permanent) == 1);
  CHECK(numbers.attempts_made() == static_cast<std::uint64_t>(a.error().attempts() + b.error().attempts()));
  CHECK(numbers.calls_started() == numbers.calls_succeeded() + numbers.calls_failed());
  CHECK(has(page_of(numbers), R"(again_calls_failed_total{call="x",reason="permanent"} 1)"));
}

TEST_CASE("what throws and what is destroyed while it runs is counted too, so that the sum is always right") {
  pretend p;
  retry_metrics numbers{"x"};
  peer thrower{stopped};
  thrower.throws(std::runtime_error{"no"});
  CHECK_THROWS_AS((void)p.wait(measure(numbers, retry(three, std::ref(thrower)))), std::runtime_error);
  CHECK(numbers.calls_started() == 1);
  CHECK(numbers.calls_failed() == 1);
  CHECK(has(page_of(numbers), R"(again_calls_failed_total{call="x",reason="exception"} 1)"));
  {
    peer hung{stopped};
    hung.hangs();
    auto op = measure(numbers, retry(three, std::ref(hung)));
    auto run = op();
    CHECK(!run.start({[](void*) noexcept {}, nullptr}, p.loop.root()));
    CHECK(numbers.calls_in_flight() == 1);
  }
  CHECK(numbers.calls_in_flight() == 0);
  CHECK(has(page_of(numbers), R"(again_calls_failed_total{call="x",reason="abandoned"} 1)"));
  CHECK(numbers.calls_started() == 2);
}

TEST_CASE("an operation without a retry is measured by its result alone, and a measured one is an operation again") {
  pretend p;
  retry_metrics numbers{"x"};
  peer plain{stopped};
  plain.fails({}).gives(1);
  auto op = measure(numbers, std::ref(plain));
  CHECK(p.wait(retry(three, op)));
  CHECK(numbers.calls_started() == 2);
  CHECK(numbers.calls_succeeded() == 1);
  CHECK(has(page_of(numbers), R"(again_calls_failed_total{call="x",reason="error"} 1)"));
  CHECK(numbers.attempts_made() == 0);
}

TEST_CASE("attempts() observes a retry without measuring its calls") {
  pretend p;
  retry_metrics numbers{"x"};
  peer quote{stopped};
  quote.fails({}).gives(1);
  CHECK(p.wait(retry(three, std::ref(quote)).observe(numbers.attempts())));
  CHECK(numbers.attempts_made() == 2);
  CHECK(numbers.calls_started() == 0);
}

TEST_CASE("no count is lost when several threads count at once") {
  retry_metrics numbers{"x"};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        numbers.began();
        numbers.attempted({.attempt = 2, .ok = true, .took = 3ms});
        numbers.succeeded(4ms);
      }
    });
  }
  for (int i = 0; i < 50; ++i) CHECK(page_of(numbers).find("again_calls_started_total") != std::string::npos);
  for (std::thread& t : threads) t.join();
  CHECK(numbers.calls_succeeded() == 40'000);
  CHECK(numbers.retries() == 40'000);
  CHECK(numbers.attempt_durations().count() == 40'000);
  CHECK(numbers.attempt_durations().sum() == 120s);
  CHECK(numbers.calls_in_flight() == 0);
}
