// SPDX-License-Identifier: MIT
// EXPECT: again::hedge: a hedging comes first; write hedge({}, op), or hedge({.delay = 50ms}, op)
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<> f() {
  auto r = co_await again::hedge(load);
  (void)r;
}
