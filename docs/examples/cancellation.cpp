// SPDX-License-Identifier: MIT
// The samples of docs/cancellation.md and docs/time.md.
#include <again/again.hpp>
#include <again/format.hpp>

#include <string>
#include <string_view>
#include <vector>
using namespace std::chrono_literals;

struct no_response {
  static std::string_view text() { return "no response"; }
};
using response = again::expected<std::string, no_response>;

constexpr auto stubborn = again::checked(
    {.attempts = again::unlimited, .backoff = again::constant(1s), .jitter = again::jitter::none, .deadline = 1h});

again::task<response> ask_nobody() {
  (void)co_await again::sleep_for(10ms);
  co_return again::unexpected<no_response>{no_response{}};
}

// ── a bound around anything ──

again::task<> bounded() {
  auto result = co_await again::timeout(2500ms, again::retry(stubborn, ask_nobody));
  if (!result) fmt::print("{}\n", result.error());
}

// ── stopping from outside ──

again::task<> stop_after(again::duration d, again::inplace_stop_source& stop) {
  const bool slept = co_await again::sleep_for(d);
  if (slept) stop.request_stop();
}

again::task<> asked(std::string_view name) {
  auto result = co_await again::retry(stubborn, ask_nobody);
  if (!result) fmt::print("{}: {}\n", name, result.error().reason());
}

// ── a part that can be stopped alone: a scope ──

again::task<> some_of_it() {
  again::scope background{co_await again::get_context()};
  background.spawn(asked("in the background"));
  (void)co_await again::sleep_for(5s);
  background.request_stop();
  co_await background.join();  // nothing spawned outlives it
  fmt::print("joined\n");
}

// ── giving way in a long computation ──

again::task<int> count_slowly(int to) {
  const again::inplace_stop_token stop = co_await again::get_stop_token();
  int n = 0;
  for (; n < to && !stop.stop_requested(); ++n) co_await again::yield{};
  co_return n;
}

// ── the first of several ──

again::task<> first_of_two() {
  const again::time_point start = (co_await again::get_scheduler()).now();
  auto first = co_await again::when_any(again::retry(stubborn, ask_nobody), [] { return again::sleep_for(3s); });
  const again::duration took = (co_await again::get_scheduler()).now() - start;
  fmt::print("number {} after {}\n", first.index(), again::to_string(took));
}

// ── pretend time ──

int an_hours_outage() {
  again::virtual_clock time;
  again::run_loop loop{time, 42};
  again::sync_wait(loop, asked("an hour later"));
  return time.now() - again::virtual_clock::start <= 1h ? 0 : 1;
}

int main() {
  again::virtual_clock time;
  again::run_loop loop{time, 42};
  again::sync_wait(loop, bounded());

  again::inplace_stop_source stop;
  again::scope side{loop.root()};
  side.spawn(stop_after(1500ms, stop));
  again::sync_wait(loop, asked("stopped"), stop.get_token());

  again::sync_wait(loop, some_of_it());
  fmt::print("counted to {}\n", again::sync_wait(loop, count_slowly(1000)));
  again::sync_wait(loop, first_of_two());
  return an_hours_outage();
}
