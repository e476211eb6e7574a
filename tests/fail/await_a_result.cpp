// SPDX-License-Identifier: MIT
// EXPECT: again: this is a result already; leave co_await out
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<> f() {
  auto r = co_await load_now();
  (void)r;
}
