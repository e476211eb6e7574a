// SPDX-License-Identifier: MIT
#include <again/protection/breaker.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <initializer_list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace again;
using namespace std::chrono_literals;
using machine = again::detail::breaker_machine;

static_assert(!std::is_copy_constructible_v<breaker> && !std::is_move_constructible_v<breaker>);
static_assert([] {  // the machine works at compile time
  machine m{{.consecutive = 1}};
  const auto a = m.admit(time_point{1s});
  m.failed(a.epoch, time_point{1s});
  return m.state() == breaker_state::open && !m.admit(time_point{2s}).admitted && m.admit(time_point{6s}).admitted;
}());

namespace {

constexpr time_point zero{1h};

// ── every reachable state and every event, as a table ──
// C0 C1: closed, after 0 or 1 failures in a row. O: open. D: open, its break is over. Hpg: half open, p probes out, g proven.
// I: isolated. The rules: two failures in a row open it, two probes close it.
constexpr breaker_rules two_and_two{.consecutive = 2, .open_for = 5s, .growth = 2, .open_max = 60s, .probes = 2};

const std::vector<std::string> events{"admit",    "good", "bad",  "gone",    "old good", "old bad",
                                      "old gone", "wait", "trip", "isolate", "close"};

// The state after each event; "+" let through, "-" refused, "" cannot happen: nothing is out.
const std::map<std::string, std::array<std::string, 11>> table{
    {"C0", {"C0+", "C0", "C1", "C0", "C0", "C0", "C0", "C0", "O", "I", "C0"}},
    {"C1", {"C1+", "C0", "O", "C1", "C1", "C1", "C1", "C1", "O", "I", "C0"}},
    {"O", {"O-", "", "", "", "O", "O", "O", "D", "O", "I", "C0"}},
    {"D", {"H10+", "", "", "", "D", "D", "D", "D", "O", "I", "C0"}},
    {"H10", {"H20+", "H01", "O", "H00", "H10", "H10", "H10", "H10", "O", "I", "C0"}},
    {"H20", {"H20-", "H11", "O", "H10", "H20", "H20", "H20", "H20", "O", "I", "C0"}},
    {"H00", {"H10+", "", "", "", "H00", "H00", "H00", "H00", "O", "I", "C0"}},
    {"H11", {"H11-", "C0", "O", "H01", "H11", "H11", "H11", "H11", "O", "I", "C0"}},
    {"H01", {"H11+", "", "", "", "H01", "H01", "H01", "H01", "O", "I", "C0"}},
    {"I", {"I-", "", "", "", "I", "I", "I", "I", "I", "I", "C0"}},
};

struct world {
  machine m{two_and_two};
  time_point now = zero;

  std::string state() const {
    switch (m.state()) {
      case breaker_state::closed: return "C" + std::to_string(m.run());
      case breaker_state::open: return now >= m.until() ? "D" : "O";
      case breaker_state::half_open: return "H" + std::to_string(m.probing()) + std::to_string(m.proven());
      case breaker_state::isolated: return "I";
    }
    return "?";
  }
  bool can(const std::string& event) const {
    if (event != "good" && event != "bad" && event != "gone") return true;
    return m.state() == breaker_state::closed || (m.state() == breaker_state::half_open && m.probing() > 0);
  }
  std::string apply(const std::string& event) {
    std::string mark;
    const std::uint64_t old = m.epoch() - 1;
    if (event == "admit") {
      const auto a = m.admit(now);
      mark = a.admitted ? "+" : "-";
      if (!a.admitted) CHECK(a.ask_at > now);
    }
    if (event == "good") m.succeeded(m.epoch(), now);
    if (event == "bad") m.failed(m.epoch(), now);
    if (event == "gone") m.abandoned(m.epoch());
    if (event == "old good") m.succeeded(old, now);
    if (event == "old bad") m.failed(old, now);
    if (event == "old gone") m.abandoned(old);
    if (event == "wait") now += 60s;
    if (event == "trip") m.trip(now);
    if (event == "isolate") m.isolate();
    if (event == "close") m.close();
    return state() + mark;
  }
};

}  // namespace

TEST_CASE("every reachable pair of state and event is in the table, and goes where the table says") {
  std::map<std::string, world> reached{{"C0", world{}}};
  std::vector<std::string> todo{"C0"};
  int pairs = 0;
  while (!todo.empty()) {
    const std::string from = todo.back();
    todo.pop_back();
    REQUIRE(table.contains(from));
    for (std::size_t e = 0; e < events.size(); ++e) {
      world w = reached.at(from);
      CAPTURE(from);
      CAPTURE(events[e]);
      const std::string& expected = table.at(from)[e];
      if (!w.can(events[e])) {
        CHECK(expected.empty());
        continue;
      }
      ++pairs;
      CHECK(w.apply(events[e]) == expected);
      if (reached.emplace(w.state(), w).second) todo.push_back(w.state());
    }
  }
  CHECK(reached.size() == table.size());
  CHECK(pairs == 10 * 11 - 5 * 3);
}

TEST_CASE("half open never has more probes out than allowed, and opens at the first that fails") {
  breaker b{{.consecutive = 1, .open_for = 5s, .probes = 3}};
  b.admit(zero).failed(zero);
  CHECK(b.state() == breaker_state::open);
  CHECK(b.until() == zero + 5s);
  CHECK_FALSE(b.admit(zero + 4999ms));
  auto one = b.admit(zero + 5s);
  auto two = b.admit(zero + 5s);
  auto three = b.admit(zero + 5s);
  CHECK(three);
  const auto four = b.admit(zero + 5s);
  CHECK_FALSE(four);
  CHECK(four.ask_at() == zero + 10s);
  one.succeeded(zero + 6s);
  CHECK_FALSE(b.admit(zero + 6s));  // proven probes count
  two.failed(zero + 6s);
  CHECK(b.state() == breaker_state::open);
  three.succeeded(zero + 6s);  // from before the break
  CHECK(b.state() == breaker_state::open);
  CHECK(b.until() == zero + 16s);  // grown
  CHECK(b.refused() == 3);
}

TEST_CASE("breaks grow up to their maximum and start anew once it has closed") {
  breaker b{{.consecutive = 1, .open_for = 1s, .growth = 3, .open_max = 5s}};
  time_point now = zero;
  b.admit(now).failed(now);
  for (const duration span : {1s, 3s, 5s, 5s}) {
    CHECK(b.until() - now == span);
    now = b.until();
    b.admit(now).failed(now);
  }
  now = b.until();
  b.admit(now).succeeded(now);
  CHECK(b.state() == breaker_state::closed);
  b.admit(now).failed(now);
  CHECK(b.until() - now == 1s);
}

TEST_CASE("only failures in a row count as such") {
  breaker b{{.consecutive = 3}};
  for (int round = 0; round < 10; ++round) {
    b.admit(zero).failed(zero);
    b.admit(zero).failed(zero);
    b.admit(zero).succeeded(zero);
  }
  CHECK(b.state() == breaker_state::closed);
  for (int i = 0; i < 3; ++i) b.admit(zero).failed(zero);
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("a rate opens it only with enough calls in the window, and forgets what is older") {
  const breaker_rules rules{.consecutive = 0, .rate = 0.5, .window = 10s, .least = 10};
  const auto play = [&](breaker& b, time_point at, int good, int bad) {
    for (int i = 0; i < good; ++i) b.admit(at).succeeded(at);
    for (int i = 0; i < bad && b.state() == breaker_state::closed; ++i) b.admit(at).failed(at);
  };
  SUBCASE("nine calls are not enough") {
    breaker b{rules};
    play(b, zero, 0, 9);
    CHECK(b.state() == breaker_state::closed);
    play(b, zero, 0, 1);
    CHECK(b.state() == breaker_state::open);
  }
  SUBCASE("just below the rate stays closed, at the rate it opens") {
    breaker b{rules};
    play(b, zero, 10, 9);
    CHECK(b.state() == breaker_state::closed);
    play(b, zero, 0, 1);
    CHECK(b.state() == breaker_state::open);
  }
  SUBCASE("failures of an earlier window are forgotten") {
    breaker b{rules};
    play(b, zero, 0, 9);
    play(b, zero + 10s, 0, 9);
    CHECK(b.state() == breaker_state::closed);
    play(b, zero + 11s, 0, 1);
    CHECK(b.state() == breaker_state::open);
  }
  SUBCASE("closing again forgets the failures that opened it") {
    breaker b{rules};
    play(b, zero, 0, 10);
    b.admit(zero + 5s).succeeded(zero + 5s);
    CHECK(b.state() == breaker_state::closed);
    play(b, zero + 5s, 0, 9);
    CHECK(b.state() == breaker_state::closed);
  }
}

// In a constant expression, where an overflow does not compile.
static_assert([] {
  machine m{{.consecutive = 0, .rate = 0.5, .window = forever, .least = 1}};
  m.failed(m.admit(zero).epoch, zero);
  return m.state() == breaker_state::open;
}());

TEST_CASE("a window without an end forgets nothing") {
  breaker b{{.consecutive = 0, .rate = 0.5, .window = forever, .least = 4}};
  for (const time_point now : {zero, zero + 1h, zero + 1000h}) {
    auto good = b.admit(now);
    good.succeeded(now);
  }
  for (int i = 0; i < 3; ++i) {
    CHECK(b.state() == breaker_state::closed);
    auto bad = b.admit(zero + 2000h);
    bad.failed(zero + 2000h);
  }
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("an abandoned probe frees its place, and its destructor is enough for that") {
  breaker b{{.consecutive = 1, .open_for = 1s}};
  b.admit(zero).failed(zero);
  { auto p = b.admit(zero + 1s); }
  auto again = b.admit(zero + 1s);
  CHECK(again);
  auto moved = std::move(again);
  CHECK_FALSE(b.admit(zero + 1s));
  moved.abandon();
  CHECK(b.admit(zero + 1s));
}

TEST_CASE("of several probes, those abandoned free their places, and the others still count") {
  breaker b{{.consecutive = 1, .open_for = 1s, .probes = 2}};
  b.admit(zero).failed(zero);
  const time_point now = zero + 1s;
  auto proven = b.admit(now);
  auto gone = b.admit(now);
  proven.succeeded(now);
  CHECK_FALSE(b.admit(now));
  gone.abandon();
  gone.abandon();  // once is enough
  auto last = b.admit(now);
  REQUIRE(last);
  CHECK_FALSE(b.admit(now));
  last.succeeded(now);
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("a probe that is abandoned after the state has changed frees no place that another one has") {
  breaker b{{.consecutive = 1, .open_for = 1s, .growth = 1}};
  b.admit(zero).failed(zero);
  auto late = b.admit(zero + 1s);
  b.trip(zero + 1s);
  auto probe = b.admit(zero + 2s);
  CHECK(probe);
  late.abandon();
  CHECK_FALSE(b.admit(zero + 2s));
  probe.succeeded(zero + 2s);
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("by hand it can be opened, closed, and isolated until it is closed") {
  breaker b{};
  b.trip(zero);
  CHECK(b.state() == breaker_state::open);
  b.close(zero);
  CHECK(b.admit(zero));
  b.isolate(zero);
  CHECK(b.until() == never);
  const auto refused = b.admit(zero + 1000h);
  CHECK_FALSE(refused);
  CHECK(refused.ask_at() == never);
  b.trip(zero);
  CHECK(b.state() == breaker_state::isolated);
  b.close(zero);
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE(
    "tripped, its break is the first if it was closed, the same if it was open, a longer one if it was half open") {
  breaker b{{.consecutive = 1, .open_for = 4s, .growth = 2, .open_max = 1min}};
  b.trip(zero);
  CHECK(b.until() == zero + 4s);
  const auto probe = b.admit(zero + 4s);
  CHECK(b.state() == breaker_state::half_open);
  b.trip(zero + 5s);
  CHECK(b.until() == zero + 13s);
  b.trip(zero + 6s);
  CHECK(b.until() == zero + 14s);
  b.close(zero + 7s);
  b.trip(zero + 8s);
  CHECK(b.until() == zero + 12s);
}

TEST_CASE("every change of state is seen once, in order, with its times") {
  breaker b{{.consecutive = 1, .open_for = 5s}};
  std::vector<std::string> seen;
  auto see = [&](const breaker_change& c) {
    seen.push_back(std::to_string(c.number) + " " + std::string{name(c.from)} + " " + std::string{name(c.to)} + " " +
                   std::to_string((c.at - zero) / 1s));
    if (c.to == breaker_state::open) CHECK(c.until == c.at + 5s);
    (void)b.state();  // no lock is held
  };
  b.observe(see);
  b.admit(zero).succeeded(zero);
  b.admit(zero).failed(zero);
  (void)b.admit(zero + 1s);
  b.admit(zero + 5s).succeeded(zero + 6s);
  b.isolate(zero + 7s);
  b.isolate(zero + 8s);
  b.close(zero + 9s);
  CHECK(seen == std::vector<std::string>{"1 closed open 0", "2 open half_open 5", "3 half_open closed 6",
                                         "4 closed isolated 7", "5 isolated closed 9"});
  CHECK(b.changes() == 5);
}

TEST_CASE("what a verdict says of the peer") {
  const auto says = [](disposition kind, reach far, bool timed_out = false) {
    return breaker_outcome_of(verdict{.kind = kind, .reach = far}, timed_out);
  };
  CHECK(says(disposition::transient, reach::not_sent) == breaker_outcome::bad);
  CHECK(says(disposition::not_replayable, reach::maybe_sent) == breaker_outcome::bad);
  CHECK(says(disposition::forbidden, reach::answered) == breaker_outcome::bad);
  CHECK(says(disposition::permanent, reach::answered) == breaker_outcome::good);  // it is alive
  CHECK(says(disposition::permanent, reach::not_sent) == breaker_outcome::nothing);
  CHECK(says(disposition::aborted, reach::maybe_sent) == breaker_outcome::nothing);
  CHECK(says(disposition::aborted, reach::maybe_sent, true) == breaker_outcome::bad);
}

TEST_CASE("8 threads that do everything to a breaker: every change is seen once, and it ends as it is told") {
  breaker b{{.consecutive = 3, .rate = 0.9, .least = 50, .open_for = 1ms, .probes = 2}};
  std::mutex mutex;
  std::vector<std::uint64_t> numbers;
  auto see = [&](const breaker_change& c) {
    const std::lock_guard lock{mutex};
    numbers.push_back(c.number);
  };
  b.observe(see);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&b, t] {
      for (int i = 0; i < 2000; ++i) {
        const time_point now = zero + i * 1ms;
        auto p = b.admit(now);
        auto held = b.admit(now);  // its destructor abandons it
        if ((i + t) % 4 == 0) {
          p.failed(now);
        } else if ((i + t) % 4 == 1) {
          if (p && !p.succeeded_if_quiet()) p.succeeded(now);
        } else {
          p.succeeded(now);
        }
        if (i % 500 == t) b.trip(now);
        if (i % 700 == t) b.isolate(now);
        if (i % 100 == t) b.close(now);
        (void)b.state();
        (void)b.until();
        (void)b.refused();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  std::sort(numbers.begin(), numbers.end());
  CHECK(numbers.size() == b.changes());
  for (std::size_t i = 0; i < numbers.size(); ++i) CHECK(numbers[i] == i + 1);
  b.close(zero + 1h);
  CHECK(b.state() == breaker_state::closed);
  CHECK(b.admit(zero + 1h));
}

TEST_CASE("8 threads at a half-open breaker never get more permits than probes") {
  breaker b{{.consecutive = 1, .open_for = 1s, .probes = 2}};
  for (int round = 0; round < 200; ++round) {
    const time_point now = zero + round * 1h;
    b.trip(now);
    std::atomic<int> through{0};
    std::atomic<int> asked{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        auto p = b.admit(now + 1min);
        through += static_cast<bool>(p);
        ++asked;
        while (asked < 8) std::this_thread::yield();  // held until everyone has asked
        p.succeeded(now + 1min);
      });
    }
    for (std::thread& t : threads) t.join();
    CHECK(through == 2);
    CHECK(b.state() == breaker_state::closed);
    b.close(now);
  }
}
