// SPDX-License-Identifier: MIT
// The samples of docs/protection.md. Prints the same on every run: pretend time, one seed.
#include <again/again.hpp>
#include <again/format.hpp>
#include <again/protection/coalesce.hpp>

#include <functional>
#include <string>
using namespace std::chrono_literals;

struct no_quote {
  again::verdict verdict() const { return {.reach = again::reach::answered, .name = "unavailable"}; }
};
using quote = again::expected<int, no_quote>;

struct quotes_api {
  bool down = true;
  int sends = 0;
  again::task<quote> get() {
    ++sends;
    (void)co_await again::sleep_for(20ms);
    if (down) co_return again::unexpected<no_quote>{no_quote{}};
    co_return 42;
  }
};

constexpr auto polite = again::checked({.attempts = 3, .backoff = again::exponential(100ms, 1s), .deadline = 5s});

// ── a budget and a breaker for each peer, shared by all its callers ──

struct quotes_peer {
  again::budget budget{again::budgets::ratio{.share = 0.2}};
  again::breaker breaker{{.consecutive = 5, .open_for = 5s}};
};

again::task<> with_budget(quotes_peer& peer, quotes_api& api) {
  auto op = again::retry(polite, [&] { return api.get(); }).budget(peer.budget).breaker(peer.breaker);
  auto response = co_await op;
  if (!response) fmt::print("with budget and breaker: {}\n", again::name(response.error().reason()));
}

// ── the same from left to right, and a substitute ──

again::task<> with_pipe(again::breaker& breaker, again::limiter& slots, quotes_api& api) {
  auto get = [&] { return api.get(); };
  auto op = get | again::timeout(1s) | again::guard(breaker) | again::retry(polite) | again::limit(slots) |
            again::fallback(7);
  auto response = co_await op;
  fmt::print("with a pipe: {}\n", *response);
}

// ── a hedge ──

again::task<> with_hedge(again::latency& seen, again::budget& budget, quotes_api& api) {
  auto op = again::hedge({.after = &seen}, [&] { return api.get(); }).budget(budget);
  auto response = co_await op;
  fmt::print("with a hedge: {}\n", response ? "answered" : "failed");
}

// ── all of it ──

again::task<> with_all(again::resilience& peer, quotes_api& api) {
  auto op = again::resilient(peer, [&] { return api.get(); });
  auto response = co_await op;
  if (!response)
    fmt::print("resilient: {} after {} sends\n", again::name(response.error().reason()), response.error().attempts());
}

// ── callers that want the same ──

using retried_quote = again::expected<int, again::failure<no_quote>>;

again::task<> with_one_call(again::coalescer<std::string, retried_quote>& quotes, quotes_api& api) {
  const int before = api.sends;
  auto get = [&] { return again::coalesce(quotes, "ACME", again::retry(polite, [&] { return api.get(); })); };
  auto [one, two] = co_await again::when_all(get(), get());
  if (one && two) fmt::print("two callers, {} send\n", api.sends - before);
}

int main() {
  again::virtual_clock time;
  again::run_loop loop{time, 42};
  quotes_api api;
  quotes_peer peer;
  again::limiter slots{{.in_flight = 16}};
  again::latency seen;
  again::resilience all{{.retrying = polite}};
  again::sync_wait(loop, with_budget(peer, api));
  again::sync_wait(loop, with_pipe(peer.breaker, slots, api));
  again::sync_wait(loop, with_all(all, api));
  api.down = false;
  again::sync_wait(loop, with_hedge(seen, peer.budget, api));
  again::coalescer<std::string, retried_quote> quotes;
  again::sync_wait(loop, with_one_call(quotes, api));
  fmt::print("{} sends\n", api.sends);
}
