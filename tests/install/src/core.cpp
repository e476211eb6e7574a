// SPDX-License-Identifier: MIT
// A consumer of the core: no warnings flags, no -std of ours, no fmt, no cpp-httplib.
#include <again/again.hpp>

#include <chrono>
#include <cstdio>

#if defined(CPPHTTPLIB_OPENSSL_SUPPORT) || defined(CPPHTTPLIB_HTTPLIB_H) || defined(FMT_VERSION)
#error "the core must not bring in its edges"
#endif

using namespace std::chrono_literals;

enum class trouble { busy };

constexpr auto brisk = again::checked({.attempts = 4, .backoff = again::constant(1ms)});

static again::task<again::expected<int, trouble>> load(int& calls) {
  if (++calls < 3) co_return again::unexpected{trouble::busy};
  co_return calls;
}

static again::task<int> run() {
  int calls = 0;
  auto loaded = co_await again::retry(brisk, [&] { return load(calls); });
  co_return loaded ? *loaded : -1;
}

int main() {
  const int calls = again::sync_wait(run());
  std::printf("the third call got it: %d\n", calls);
  return calls == 3 ? 0 : 1;
}
