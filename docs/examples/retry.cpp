// SPDX-License-Identifier: MIT
// The samples of docs/retry.md. Prints the same on every run: pretend time, one seed.
#include <again/again.hpp>
#include <again/format.hpp>

#include <functional>
using namespace std::chrono_literals;

// ── an error type of yours says what it means ──

struct shelf_error {
  bool busy = false;
  again::verdict verdict() const {
    if (busy) return {.kind = again::disposition::transient, .name = "busy"};
    return {.kind = again::disposition::permanent, .reach = again::reach::answered, .name = "no such shelf"};
  }
};

struct shelf {
  int busy_for = 0;  // that many questions
  int left = 0;
};

again::task<again::expected<int, shelf_error>> count_items(shelf& s) {
  (void)co_await again::sleep_for(20ms);
  if (s.busy_for-- > 0) co_return again::unexpected<shelf_error>{shelf_error{.busy = true}};
  if (s.left < 0) co_return again::unexpected<shelf_error>{shelf_error{.busy = false}};
  co_return s.left;
}

// ── policies ──

constexpr auto polite = again::checked({
    .attempts = 4,
    .backoff = again::exponential(100ms, 2s),
    .attempt_timeout = 1s,
    .deadline = 5s,
});
static_assert(again::worst_case(polite).sends == 4);
static_assert(again::worst_case(polite).time <= 5s);

constexpr auto patient = again::checked({
    .attempts = again::unlimited,  // as many as fit before the deadline
    .backoff = again::decorrelated(1s, 30s),
    .attempt_timeout = 20s,
    .deadline = 10min,
});

// ── three ways to say what is repeated ──

again::task<> ways(shelf& s) {
  auto one = co_await again::retry(polite, [&] { return count_items(s); });  // a function without parameters
  auto two = co_await again::retry(polite, count_items, std::ref(s));        // a function and its arguments
  auto op = [&s] { return count_items(s); };                                 // named first, used later
  auto three = co_await again::retry(polite, op);
  if (one && two && three) fmt::print("{} {} {}\n", *one, *two, *three);
}

// ── looking at it ──

again::task<> watched(shelf& s) {
  auto left = co_await again::retry(polite, count_items, std::ref(s)).observe([](const again::attempt_record& attempt) {
    fmt::print("  {}\n", attempt);
  });
  if (left) fmt::print("{} left\n", *left);
}

again::task<> given_up(shelf& s) {
  auto left = co_await again::retry(polite, count_items, std::ref(s));
  if (left) co_return;
  switch (left.error().reason()) {
    case again::stop_reason::attempts_exhausted: fmt::print("the shelf stays busy\n"); break;
    case again::stop_reason::permanent: fmt::print("there is no such shelf\n"); break;
    default: fmt::print("stopped otherwise\n"); break;
  }
  fmt::print("{:#}\n", left.error());
}

// ── another opinion, for one call ──

again::task<> overruled(shelf& s) {
  auto left = co_await again::retry(polite, count_items, std::ref(s)).when([](const shelf_error&) { return false; });
  if (!left) fmt::print("{}\n", left.error());
}

// ── exceptions ──

again::task<int> fragile(int& calls) {
  if (++calls < 3) throw std::runtime_error{"not yet"};
  co_return calls;
}

again::task<> exceptions() {
  int calls = 0;
  auto result = co_await again::retry(polite, again::catching(fragile, std::ref(calls)));
  if (result) fmt::print("after {} calls\n", *result);
}

// ── layers ──

again::task<> layers(shelf& s) {
  const auto inner = [&s] { return again::retry(polite, count_items, std::ref(s)); };
  auto left = co_await again::retry(polite, inner);
  if (!left) fmt::print("two layers of four attempts: {} sends\n", left.error().attempts());
}

// ── many calls ──

again::task<> many(std::vector<shelf>& shelves) {
  auto done = co_await again::for_each(shelves, 32, [](shelf& s) {
    return again::retry(polite, count_items, std::ref(s));  // 32 of them run at once, whatever the number of shelves
  });
  if (!done)
    fmt::print("{} counted, then shelf {}: {}\n", done.error().succeeded, done.error().first_failed,
               *done.error().first_error);

  int sum = 0;
  const auto add = [&](auto&& left) { sum += left.value_or(0); };
  auto end = co_await again::transform(shelves, 32, [](shelf& s) { return count_items(s); }, add);
  if (end.complete) fmt::print("{} items on {} shelves\n", sum, end.results);
}

int main() {
  again::virtual_clock time;
  again::run_loop loop{time, 42};  // the seed of all jitter
  shelf calm{.left = 7}, busy{.busy_for = 2, .left = 7}, stuck{.busy_for = 1000}, gone{.left = -1};

  fmt::print("{}", again::explain(polite));
  fmt::print("{}\n", patient);
  again::sync_wait(loop, ways(calm));
  again::sync_wait(loop, watched(busy));
  again::sync_wait(loop, given_up(stuck));
  again::sync_wait(loop, given_up(gone));
  again::sync_wait(loop, overruled(stuck));
  again::sync_wait(loop, exceptions());
  again::sync_wait(loop, layers(stuck));
  std::vector<shelf> shelves(1000, shelf{.left = 3});
  shelves[900].left = -1;
  again::sync_wait(loop, many(shelves));
  return 0;
}
