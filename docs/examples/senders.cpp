// SPDX-License-Identifier: MIT
// The samples of docs/senders.md. What they print stands in senders.out.
#if __has_include(<stdexec/execution.hpp>)
#include <exec/when_any.hpp>
#include <stdexec/execution.hpp>
namespace ex = stdexec;
#else  // the look-alike of the tests
#include "support/stdexec_lookalike.hpp"
namespace ex = again_test::p2300;
namespace exec = again_test::p2300;
#endif

#include <again/again.hpp>
#include <again/execution.hpp>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

using namespace std::chrono_literals;
using again::execution::as_awaitable;
using again::execution::as_sender;
using again::execution::loop_scheduler;

namespace {

constexpr auto polite = again::checked({
    .attempts = 4,
    .backoff = again::exponential(1ms, 10ms),
    .attempt_timeout = 1s,
    .deadline = 5s,
});

struct db_error {
  int code;
};
struct database {
  int busy_times = 0;
};

// Your own operation: a task of this library.
again::task<again::expected<std::string, db_error>> load(database& db, int id) {
  (void)co_await again::sleep(1ms);
  if (db.busy_times-- > 0) co_return again::unexpected(db_error{11});
  co_return "row " + std::to_string(id);
}

// ── an operation of ours as a sender ──

void two_rows() {
  database db{.busy_times = 2};
  auto first = as_sender(again::retry(polite, [&] { return load(db, 1); }));
  auto second = as_sender(again::retry(polite, [&] { return load(db, 2); }));
  auto [one, two] = ex::sync_wait(ex::when_all(std::move(first), std::move(second))).value();
  std::printf("%s, %s\n", one->c_str(), two->c_str());
}

void first_to_end() {
  database near;
  database far{.busy_times = 1'000'000};
  constexpr auto patient =
      again::checked({.attempts = 1'000, .backoff = again::constant(1h), .deadline = again::forever});
  auto waits = as_sender(again::retry(patient, [&] { return load(far, 3); }));
  auto quick = as_sender(again::retry(patient, [&] { return load(near, 3); }));
  auto words = [](auto row) { return row ? *row : std::string{"no row"}; };
  auto [row] =
      ex::sync_wait(exec::when_any(std::move(waits) | ex::then(words), std::move(quick) | ex::then(words))).value();
  std::printf("%s, and the other one was stopped\n", row.c_str());
}

// ── a loop of ours as a scheduler ──

void on_a_loop() {
  again::run_loop loop;
  loop_scheduler on_loop{loop};
  database db;
  auto work = ex::starts_on(on_loop, as_sender([&] { return load(db, 4); }));
  auto row = [&]() -> again::task<bool> {
    co_return co_await as_awaitable(std::move(work) | ex::then([&](const auto&) { return loop.here(); }));
  };
  std::printf("on the loop's thread: %s\n", again::sync_wait(loop, row()) ? "yes" : "no");
}

// ── a sender in a task ──

again::task<int> doubled(int n) {
  int twice = co_await as_awaitable(ex::just(n) | ex::then([](int i) { return 2 * i; }));
  try {
    co_await as_awaitable(ex::just_stopped());
  } catch (const again::execution::sender_stopped&) { co_return twice; }
  co_return 0;
}

// ── a retry of senders ──

void retried_senders() {
  int calls = 0;
  auto read = [&] {
    return ex::just() | ex::then([&] {
             if (++calls < 3) throw std::runtime_error{"not yet"};
             return calls;
           });
  };
  auto [n] = ex::sync_wait(again::retry(polite, read)).value();  // read is called for each attempt
  std::printf("attempt %d gave a value\n", n);

  calls = -100;
  try {
    (void)ex::sync_wait(read() | again::retry(polite));  // copies of one sender
  } catch (const again::failure<std::exception_ptr>& f) { std::printf("gave up after %d attempts\n", f.attempts()); }
}

again::task<int> attempts_made() {
  auto never = [] { return ex::just_error(db_error{11}); };
  auto row = co_await as_awaitable(again::retry(polite, never));  // an expected, no exception
  co_return row ? 0 : row.error().attempts();
}

}  // namespace

int main() {
  two_rows();
  first_to_end();
  on_a_loop();
  std::printf("%d\n", again::sync_wait(doubled(21)));
  retried_senders();
  std::printf("%d\n", again::sync_wait(attempts_made()));
}
