// SPDX-License-Identifier: MIT
// EXPECT: again: a task runs once and cannot be retried; pass the function that makes it
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<> f() {
  auto r = co_await again::catching(load());
  (void)r;
}
