// SPDX-License-Identifier: MIT
#include <again/protection/budget.hpp>

#include <again/core/random.hpp>
#include <again/retry/detail/hooks.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <initializer_list>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

using namespace again;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<budget> && !std::is_move_constructible_v<budget>);
static_assert(!std::is_copy_constructible_v<budget::reservation> &&
              std::is_nothrow_move_constructible_v<budget::reservation>);

namespace {

constexpr time_point zero{1h};

struct tally {
  long sends = 0;
  long retries = 0;
  double per_request(long requests) const { return static_cast<double>(sends) / static_cast<double>(requests); }
};

// Sequential requests of three attempts each, 1000 in a second, each attempt failing with `failing`.
tally run(budget& shared, int requests, double failing, std::uint64_t seed = 1) {
  random_stream random{seed};
  tally t;
  for (int i = 0; i < requests; ++i) {
    const time_point now = zero + i * 1ms;
    budget::call call{shared};
    call.first_attempt(now);
    for (int attempt = 1;; ++attempt) {
      ++t.sends;
      t.retries += attempt > 1;
      if (random.draw() >= failing) {
        call.succeeded();
        break;
      }
      if (!call.failed(now, verdict{}, false, attempt < 3)) break;
      call.retry_sent();
    }
  }
  return t;
}

template <class Kind> void check_row(const Kind& kind, long outage_retries, double one, double ten, double half) {
  budget in_outage{kind};
  const tally outage = run(in_outage, 10'000, 1.0);
  CHECK(outage.retries == outage_retries);
  CHECK(outage.sends == 10'000 + outage_retries);
  CHECK(in_outage.granted() == static_cast<std::uint64_t>(outage_retries));
  const auto share = [&](double failing) {
    budget b{kind};
    return run(b, 100'000, failing).per_request(100'000);
  };
  CHECK(share(0.01) == doctest::Approx(one).epsilon(0.01));
  CHECK(share(0.10) == doctest::Approx(ten).epsilon(0.01));
  CHECK(share(0.50) == doctest::Approx(half).epsilon(0.01));
}

int allowed(budget& b, time_point now, int wanted) {
  int n = 0;
  for (int i = 0; i < wanted; ++i) {
    if (budget::reservation r = b.reserve(now)) {
      r.sent();
      ++n;
    }
  }
  return n;
}

void deposit(budget& b, time_point now, int times) {
  for (int i = 0; i < times; ++i) b.first_attempt(now);
}

}  // namespace

// The amplification table: total outage exactly, the rest within 1 %.
TEST_CASE("SRE: a cumulative tenth makes 1.1 sends of each request in an outage") {
  check_row(budgets::cumulative{.share = 0.1}, 1000, 1.0103, 1.0999, 1.1000);
}
TEST_CASE("Finagle and tower: a fifth of ten seconds and ten a second make 1.21 sends in an outage") {
  check_row(budgets::ratio{.share = 0.2, .floor_per_second = 10, .window = 10s}, 2100, 1.0103, 1.1097, 1.2100);
}
TEST_CASE("AWS v2.0: a bucket of 500 at 5 each allows exactly 100 retries in an outage") {
  check_row(budgets::aws_v2_0, 100, 1.0103, 1.1097, 1.2036);
}
TEST_CASE("AWS v2.1: a bucket of 500 at 14 each allows exactly 35 retries in an outage") {
  check_row(budgets::aws_v2_1, 35, 1.0103, 1.1097, 1.0734);
}
TEST_CASE("gRPC: ten tokens allow exactly 3 retries in an outage") {
  check_row(budgets::throttle{.max = 10, .ratio = 0.1}, 3, 1.0103, 1.0218, 1.0000);
}
TEST_CASE("gRPC: a hundred tokens allow exactly 33 retries in an outage") {
  check_row(budgets::throttle{.max = 100, .ratio = 0.1}, 33, 1.0103, 1.0036, 1.0005);
}

TEST_CASE("Finagle: 10 000 deposits at a share of p allow 10 000 p withdrawals, give or take one") {
  for (const double p : {.1, .5, .25, .75, .99, .999, .9999, .01, .001, .0001}) {
    CAPTURE(p);
    budget b{budgets::ratio{.share = p, .floor_per_second = 0, .window = 60s}};
    deposit(b, zero, 10'000);
    const int got = allowed(b, zero, 10'001);
    CHECK(got >= static_cast<int>(10'000 * p) - 1);
    CHECK(got <= static_cast<int>(10'000 * p) + 1);
  }
}
TEST_CASE("Finagle: a share of 2 makes a balance of 20 000") {
  budget b{budgets::ratio{.share = 2, .floor_per_second = 0, .window = 60s}};
  deposit(b, zero, 10'000);
  CHECK(b.balance(zero) == 20'000);
}

TEST_CASE("tower: an empty budget denies") {
  budget b{budgets::ratio{.share = 1, .floor_per_second = 0, .window = 1s}};
  CHECK_FALSE(b.reserve(zero));
  CHECK(b.refused() == 1);
}
TEST_CASE("tower: a deposit is forgotten after the window") {
  budget b{budgets::ratio{.share = 1, .floor_per_second = 0, .window = 1s}};
  b.first_attempt(zero);
  CHECK(b.balance(zero) == 1);
  CHECK_FALSE(b.reserve(zero + 3s));
  CHECK(b.balance(zero + 3s) == 0);
}
TEST_CASE("tower: two deposits at a half allow one retry 901 ms later, and only one") {
  budget b{budgets::ratio{.share = 0.5, .floor_per_second = 0, .window = 1s}};
  deposit(b, zero, 2);
  CHECK(allowed(b, zero + 901ms, 2) == 1);
}
TEST_CASE("tower: a reserve of five allows exactly five, and five again in the next window") {
  budget b{budgets::ratio{.share = 1, .floor_per_second = 5, .window = 1s}};
  CHECK(allowed(b, zero, 10) == 5);
  CHECK(allowed(b, zero + 500ms, 10) == 0);
  CHECK(allowed(b, zero + 2s, 10) == 5);
}
TEST_CASE("a withdrawal leaves the window when its own slot does, not when the deposit's does") {
  budget b{budgets::ratio{.share = 1, .floor_per_second = 1, .window = 1s}};
  b.first_attempt(zero);
  CHECK(allowed(b, zero + 500ms, 3) == 2);
  CHECK(b.balance(zero + 1s) == -1);  // the deposit is forgotten, both withdrawals are not
  CHECK(b.balance(zero + 1501ms) == 1);
}
TEST_CASE("a time in the past counts as the newest seen") {
  budget b{budgets::ratio{.share = 1, .floor_per_second = 0, .window = 1s}};
  b.first_attempt(zero + 10s);
  b.first_attempt(zero);
  CHECK(b.balance(zero + 10s) == 2);
  CHECK(b.balance(zero) == 2);
}

TEST_CASE("gRPC C-core: the token values and decisions of retry_throttle_test") {
  budget b{budgets::throttle{.max = 4, .ratio = 1.6}};
  struct step {
    char event;
    double tokens;
    bool allowed;
  };
  for (const step s : {step{'F', 3, true},
                       {'S', 4, true},
                       {'F', 3, true},
                       {'F', 2, false},
                       {'F', 1, false},
                       {'F', 0, false},
                       {'F', 0, false},
                       {'S', 1.6, true},
                       {'S', 3.2, true},
                       {'F', 2.2, true},
                       {'F', 1.2, false},
                       {'S', 2.8, true},
                       {'F', 1.8, false},
                       {'S', 3.4, true},
                       {'F', 2.4, true}}) {
    if (s.event == 'S') {
      b.succeeded(0);
    } else {
      CHECK(static_cast<bool>(b.failed_then_reserve(zero)) == s.allowed);
    }
    CHECK(b.balance(zero) == s.tokens);
  }
}
TEST_CASE("gRPC C-core: a replacement keeps the share of tokens that is left") {
  budget b{budgets::throttle{.max = 4, .ratio = 1}};
  CHECK(b.failed());
  CHECK(b.balance(zero) == 3);
  b.replace(budgets::throttle{.max = 10, .ratio = 3});
  CHECK(b.balance(zero) == 7.5);
  for (const auto& [tokens, ok] : {std::pair{6.5, true}, {5.5, true}, {4.5, false}, {3.5, false}}) {
    CHECK(b.failed() == ok);
    CHECK(b.balance(zero) == tokens);
  }
  b.succeeded(0);
  CHECK(b.balance(zero) == 6.5);
  CHECK(b.failed());
  CHECK_FALSE(b.failed());
  CHECK(b.balance(zero) == 4.5);
  budget other{budgets::aws_v2_0};
  CHECK_THROWS_AS(other.replace(budgets::throttle{}), std::logic_error);
}
TEST_CASE("userver: four failures of ten tokens still allow, the fifth denies") {
  budget b{budgets::throttle{.max = 10, .ratio = 0.1}};
  for (int i = 0; i < 4; ++i) CHECK(b.failed());
  CHECK(b.reserve(zero));
  CHECK_FALSE(b.failed());
  CHECK_FALSE(b.reserve(zero));
}
TEST_CASE("userver: from empty, 50 successes still deny and the 51st allows") {
  budget b{budgets::throttle{.max = 10, .ratio = 0.1}};
  for (int i = 0; i < 20; ++i) b.failed();
  CHECK(b.balance(zero) == 0);
  for (int i = 0; i < 50; ++i) b.succeeded(0);
  CHECK_FALSE(b.reserve(zero));
  b.succeeded(0);
  CHECK(b.reserve(zero));
}
TEST_CASE("a success cannot fill a throttle beyond its maximum") {
  budget b{budgets::throttle{.max = 4, .ratio = 1.6}};
  b.failed();
  b.succeeded(0);
  b.succeeded(0);
  CHECK(b.balance(zero) == 4);
}

TEST_CASE("a throttle at the ends of its range: two thousandths allow one failure, a ratio of 2000 fills it at once") {
  budget least{budgets::throttle{.max = 0.002, .ratio = 0.001}};
  CHECK(least.balance(zero) == 0.002);
  CHECK(least.reserve(zero));
  CHECK_FALSE(least.failed());
  CHECK(least.balance(zero) == 0);
  budget most{budgets::throttle{.max = 2000, .ratio = 2000}};
  for (int i = 0; i < 2000; ++i) most.failed();
  CHECK(most.balance(zero) == 0);
  most.succeeded(0);
  CHECK(most.balance(zero) == 2000);
}

TEST_CASE("a failure without a retry costs nothing where it is not a throttle, and a retry would be allowed") {
  const auto unchanged = [](auto kind) {
    budget b{kind};
    deposit(b, zero, 100);
    const double before = b.balance(zero);
    CHECK(b.failed());
    CHECK(b.granted() == 0);
    CHECK(b.refused() == 0);
    return b.balance(zero) == before;
  };
  CHECK(unchanged(budgets::ratio{}));
  CHECK(unchanged(budgets::tokens{}));
  CHECK(unchanged(budgets::in_flight{}));
  CHECK(unchanged(budgets::cumulative{}));
  CHECK_FALSE(unchanged(budgets::throttle{}));
}

TEST_CASE("AWS: the price depends on the cause") {
  budget b{budgets::tokens{.capacity = 500, .cost = 5, .throttling_cost = 7, .timeout_cost = 10}};
  const auto price = [&](const verdict& v, bool timed_out) {
    budget::call call{b};
    const double before = b.balance(zero);
    CHECK(call.failed(zero, v, timed_out, true));
    return before - b.balance(zero);
  };
  CHECK(price({}, false) == 5);
  CHECK(price({}, true) == 10);
  CHECK(price({.code = 429}, false) == 7);
  CHECK(price({.server_delay = 1s, .code = 503}, true) == 7);
  CHECK(price({.code = 503}, false) == 5);
}
TEST_CASE("AWS: a first-try success puts one token in, up to the capacity") {
  budget b{budgets::tokens{.capacity = 10, .cost = 5}};
  b.succeeded(0);
  CHECK(b.balance(zero) == 10);
  CHECK(allowed(b, zero, 1) == 1);
  b.succeeded(0);
  CHECK(b.balance(zero) == 6);
  b.succeeded(5);
  CHECK(b.balance(zero) == 10);
}

TEST_CASE("Envoy: retries in flight stay below a share of the calls in flight, and above the floor they are refused") {
  budget b{budgets::in_flight{.share = 0.2, .floor = 3}};
  CHECK(b.balance(zero) == 3);
  deposit(b, zero, 25);  // 25 calls: five retries
  CHECK(b.balance(zero) == 5);
  std::vector<budget::reservation> out;
  for (int i = 0; i < 5; ++i) {
    CHECK(b.balance(zero) == 5 - i);
    out.push_back(b.reserve(zero));
  }
  CHECK(b.balance(zero) == 0);
  CHECK(out.back());
  CHECK_FALSE(b.reserve(zero));
  out.back().sent();
  out.pop_back();  // its attempt has ended
  CHECK(b.reserve(zero));
  for (int i = 0; i < 15; ++i) b.ended();
  CHECK_FALSE(b.reserve(zero));  // 10 calls, 4 retries, the floor of 3
  out.clear();
  for (int i = 0; i < 10; ++i) b.ended();
  CHECK(b.balance(zero) == 3);
}

TEST_CASE("a reservation that is not sent is given back, whatever the kind") {
  const auto kept = [](auto kind) {
    budget b{kind};
    deposit(b, zero, 100);
    const double before = b.balance(zero);
    {
      budget::reservation r = b.reserve(zero);
      CHECK(r);
      budget::reservation moved = std::move(r);
      CHECK_FALSE(r);
      CHECK(moved);
    }
    CHECK(b.returned() == 1);
    return b.balance(zero) == before;
  };
  CHECK(kept(budgets::ratio{}));
  CHECK(kept(budgets::tokens{}));
  CHECK(kept(budgets::throttle{}));
  CHECK(kept(budgets::in_flight{}));
  CHECK(kept(budgets::cumulative{}));
}
TEST_CASE("a returned reservation is forgotten with its window like any other token") {
  budget b{budgets::ratio{.share = 1, .floor_per_second = 0, .window = 1s}};
  b.first_attempt(zero);
  { budget::reservation r = b.reserve(zero + 200ms); }
  CHECK(b.balance(zero + 300ms) == 1);
  CHECK(b.balance(zero + 2s) == 0);
}

TEST_CASE("a call inside a repeated attempt deposits nothing, and gives back only what it took") {
  using guards = detail::retry_guards<budget>;
  const time_point now{1h};
  const auto clock = [=] { return now; };
  budget ratio{budgets::ratio{.share = 1, .floor_per_second = 0}};
  {
    guards::call first{guards{&ratio}};
    guards::call further{guards{&ratio}};
    CHECK(first.admit(now));
    CHECK(further.admit(now, true));
    CHECK(ratio.balance(now) == 1);
  }
  budget slots{budgets::in_flight{.share = 1, .floor = 0}};
  slots.first_attempt(now);
  {
    guards::call further{guards{&slots}};
    CHECK(further.admit(now, true));
    further.succeeded(clock);
  }
  CHECK(slots.balance(now) == 1);  // the one that is in flight, and not one fewer
  budget tokens{budgets::tokens{.capacity = 10, .cost = 5}};
  {
    auto spent = tokens.reserve(now);
    spent.sent();
  }
  guards::call further{guards{&tokens}};
  CHECK(further.admit(now, true));
  further.succeeded(clock);
  CHECK(tokens.balance(now) == 5);  // no first try
  guards::call first{guards{&tokens}};
  CHECK(first.admit(now));
  first.succeeded(clock);
  CHECK(tokens.balance(now) == 6);
}

namespace {
template <class Work> void on_8_threads(Work work) {
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      while (!go.load()) {}
      work(i);
    });
  }
  go = true;
  for (std::thread& t : threads) t.join();
}
}  // namespace

TEST_CASE("8 threads never overdraw a bucket by a single token") {
  budget b{budgets::tokens{.capacity = 10'007, .cost = 3}};
  std::atomic<int> got{0};
  on_8_threads([&](int) { got += allowed(b, zero, 3000); });
  CHECK(got == 10'007 / 3);
  CHECK(b.balance(zero) == 10'007 % 3);
}
TEST_CASE("8 threads that deposit and withdraw never overdraw a ratio, and no deposit is lost") {
  budget b{budgets::ratio{.share = 0.2, .floor_per_second = 7, .window = 10s}};
  std::atomic<int> got{0};
  on_8_threads([&](int) {
    int mine = 0;
    for (int i = 0; i < 2000; ++i) {
      b.first_attempt(zero);
      mine += allowed(b, zero, 2);
    }
    got += mine;
  });
  CHECK(got + allowed(b, zero, 20'000) == 70 + 16'000 / 5);
  CHECK(b.balance(zero) == 0);
}
TEST_CASE("8 threads across the window's slots leave the balance at the reserve once all is forgotten") {
  budget b{budgets::ratio{.share = 1, .floor_per_second = 3, .window = 1s}};
  on_8_threads([&](int id) {
    for (int i = 0; i < 3000; ++i) {
      const time_point now = zero + i * 1ms + id * 3ms;
      b.first_attempt(now);
      if (i % 3 == 0) (void)b.reserve(now);  // given back at once
      allowed(b, now, i % 2 == 0 ? 1 : 0);
    }
  });
  CHECK(b.balance(zero + 20s) == 3);
}
TEST_CASE("8 threads on a throttle: every failure and success counts") {
  budget b{budgets::throttle{.max = 2000, .ratio = 0.001}};
  on_8_threads([&](int) {
    for (int i = 0; i < 100; ++i) b.failed();
    for (int i = 0; i < 1000; ++i) b.succeeded(0);
  });
  CHECK(b.balance(zero) == 2000 - 800 + 8);
}
TEST_CASE("8 threads never have more retries in flight than an in-flight budget allows") {
  budget b{budgets::in_flight{.share = 0, .floor = 5}};
  std::atomic<int> now_out{0};
  std::atomic<int> most{0};
  on_8_threads([&](int) {
    for (int i = 0; i < 5000; ++i) {
      budget::reservation r = b.reserve(zero);
      if (!r) continue;
      const int out = ++now_out;
      for (int seen = most; out > seen && !most.compare_exchange_weak(seen, out);) {}
      --now_out;
    }
  });
  CHECK(most <= 5);
  CHECK(b.balance(zero) == 5);
}
