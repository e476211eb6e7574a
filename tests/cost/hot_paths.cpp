// SPDX-License-Identifier: MIT
// What the hot paths may cost, as counts and not as times: heap allocations, sizes of frames and awaiters, instructions.
// Without arguments it checks allocations and sizes; `--instructions` prints the bounds and leaves callgrind a dump for each
// path, which count_instructions.py compares. Only with g++ 12 and -O2: the bounds are what that compiler makes of it today,
// with a tenth to spare. A change that passes a bound on purpose moves the bound, in the same commit.
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/coro/when_all.hpp>
#include <again/protection/guard.hpp>
#include <again/protection/limit.hpp>
#include <again/protection/rate.hpp>
#include <again/retry.hpp>
#include <again/retry/timeout.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name)
#endif

namespace {

std::size_t allocations = 0;
std::size_t largest = 0;

}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (size > largest) largest = size;
  if (void* const p = std::malloc(size)) return p;
  throw std::bad_alloc{};
}
// Not inlined: g++ would see free() of what `operator new` returned, and warn.
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

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

constexpr auto no_clock = again::checked({.attempts = 4,
                                          .backoff = again::constant(0ns),
                                          .jitter = again::jitter::none,
                                          .attempt_timeout = again::forever,
                                          .deadline = again::forever});
constexpr auto bounded = again::checked({.attempts = 4,
                                         .backoff = again::constant(0ns),
                                         .jitter = again::jitter::full,
                                         .attempt_timeout = 1s,
                                         .deadline = 5s});
// What the README's sample has: the policy that users write.
constexpr auto usual = again::checked({.attempts = 4,
                                       .backoff = again::exponential(100ms, 2s),
                                       .jitter = again::jitter::full,
                                       .attempt_timeout = 1s,
                                       .deadline = 5s});

again::task<int> bare(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = 0;
    auto r = co_await attempt(failures);
    sum += *r;
  }
  co_return sum;
}
template <const again::checked_policy& Policy, int Failures> again::task<int> retried(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = Failures;
    auto r = co_await again::retry(Policy, [&] { return attempt(failures); });
    sum += *r;
  }
  co_return sum;
}
again::task<int> timed(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = 0;
    auto r = co_await again::timeout(1s, [&] { return attempt(failures); });
    sum += *r;
  }
  co_return sum;
}
again::task<int> timed_retry(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = 0;
    auto r = co_await again::timeout(1s, again::retry(no_clock, [&] { return attempt(failures); }));
    sum += *r;
  }
  co_return sum;
}
template <class Shared, auto Combine> again::task<int> around(std::size_t n) {
  static Shared shared{};
  int sum = 0;
  int failures = 0;
  auto op = Combine(shared, [&] { return attempt(failures); });
  for (std::size_t i = 0; i < n; ++i) {
    auto r = co_await op;
    sum += *r;
  }
  co_return sum;
}
struct plenty : again::rate_limiter {
  plenty() : rate_limiter{{.per_second = 1e9, .burst = 1'000'000}} {}
};
constexpr auto limited = [](again::limiter& shared, auto op) { return again::limit(shared, op); };
constexpr auto guarded = [](again::breaker& shared, auto op) { return again::guard(shared, op); };
constexpr auto rated = [](again::rate_limiter& shared, auto op) { return again::rate(shared, op); };
again::task<int> caught(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = 3;
    auto r = co_await again::retry(no_clock, again::catching([&] { return throwing(failures); }));
    sum += *r;
  }
  co_return sum;
}
again::task<int> both(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = 0;
    auto r = co_await again::when_all(attempt(failures), attempt(failures));
    sum += *std::get<0>(r);
  }
  co_return sum;
}
again::task<int> gave_up(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    int failures = 9;
    auto r = co_await again::retry(no_clock, [&] { return attempt(failures); });
    sum += r.error().attempts();
  }
  co_return sum;
}
again::task<> sleeper() {
  const bool slept = co_await again::sleep_for(1h);
  if (!slept) std::abort();
}
again::task<int> slept(std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) co_await sleeper();
  co_return 0;
}

struct path {
  const char* name;
  again::task<int> (*run)(std::size_t n);
  double allocations;   ///< of one turn, at most
  double instructions;  ///< of one turn, at most
};
constexpr std::array paths{
    path{"co_await of a task", &bare, 0, 157},
    path{"the usual policy, success at once", &retried<usual, 0>, 0, 455},
    path{"the usual policy, success at the 4th attempt", &retried<usual, 3>, 0, 4430},
    path{"retry, success at once", &retried<no_clock, 0>, 0, 393},
    path{"retry, success at the 4th attempt", &retried<no_clock, 3>, 0, 2040},
    path{"retry with bounds in time, success at once", &retried<bounded, 0>, 0, 455},
    path{"retry with bounds in time, 4th attempt", &retried<bounded, 3>, 0, 2300},
    path{"timeout around a success", &timed, 0, 462},
    path{"timeout around a retry, success at once", &timed_retry, 0, 765},
    path{"limit with a free slot around a success", &around<again::limiter, limited>, 0, 299},
    path{"guard around a success", &around<again::breaker, guarded>, 0, 310},
    path{"rate around a success", &around<plenty, rated>, 0, 285},
    path{"when_all of two", &both, 0, 425},
    path{"sleep_for under pretend time", &slept, 0, 796},
    path{"retry that gives up after four", &gave_up, 1, 2580},
    // Each std::runtime_error keeps its text on the heap, and the unwinder has most of the instructions.
    path{"three exceptions, then success", &caught, 3, 33'500},
};

int turn(const path& p, std::size_t n) {
  again::virtual_clock time;
  again::run_loop loop{time, 42};
  return again::sync_wait(loop, p.run(n));
}

int faults = 0;
void check(bool good, const char* what, double is, double most) {
  std::printf("%s %-60s %10.2f (at most %.2f)\n", good ? "ok   " : "FAULT", what, is, most);
  if (!good) ++faults;
}

// A frame as it comes from the heap: on a thread of its own the cache is empty. Classes of 64 bytes.
template <class Make> std::size_t frame_bytes(Make make) {
  std::size_t found = 0;
  {
    // Two of them, so that at least one is not recycled.
    auto first = make();
    largest = 0;
    auto second = make();
    found = largest;
  }
  return found;
}

struct counted_op {
  int* failures;
  again::task<result> operator()() const { return attempt(*failures); }
};
struct big {
  char bytes[100];
};

void check_sizes() {
  using run = again::detail::retry_run<counted_op, again::detail::retry_hooks<>>;
  const auto size = [](const char* what, std::size_t is, std::size_t most) {
    check(is <= most, what, static_cast<double>(is), static_cast<double>(most));
  };
  size("bytes of a failure", sizeof(again::failure<big>), sizeof(void*));
  size("bytes of retry's result beyond the operation's value",
       sizeof(again::expected<big, again::failure<error>>) - sizeof(big), 12);
  size("bytes of retry(policy, op) beyond policy and op",
       sizeof(again::retry_operation<counted_op>) - sizeof(again::policy) - sizeof(counted_op), 24);
  size("bytes of a retry in the awaiting frame", sizeof(run), 864);
  size("bytes of task<int>'s promise", sizeof(again::detail::task_promise<int>), 64);
  size("bytes of a sleep", sizeof(class again::sleep), 88);
  int failures = 0;
  size("frame of a trivial task", frame_bytes([&] { return attempt(failures); }), 104);
  size("frame of a task that sleeps", frame_bytes([] { return sleeper(); }), 216);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::size_t turns = 500;
  if (argc > 1 && std::strcmp(argv[1], "--instructions") == 0) {
    for (std::size_t i = 0; i < paths.size(); ++i) {
      std::printf("%zu\t%s\t%.0f\n", i, paths[i].name, paths[i].instructions);
      turn(paths[i], turns);
      for (const std::size_t n : {turns, 2 * turns}) {  // the difference leaves out what starts and ends them
        CALLGRIND_ZERO_STATS;
        turn(paths[i], n);
        CALLGRIND_DUMP_STATS_AT((std::to_string(i) + "/" + std::to_string(n)).c_str());
      }
    }
    return 0;
  }
  check_sizes();
  for (const path& p : paths) {
    turn(p, turns);
    const std::size_t before = allocations;
    turn(p, turns);
    const std::size_t once = allocations - before;
    turn(p, 2 * turns);
    const double each = static_cast<double>(allocations - before - 2 * once) / static_cast<double>(turns);
    check(each <= p.allocations + 0.001, (std::string{"allocations: "} + p.name).c_str(), each, p.allocations);
  }
  return faults == 0 ? 0 : 1;
}
