// SPDX-License-Identifier: MIT
// EXPECT: nothing runs until it is awaited: write co_await before it
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<> f() {
  load();
  co_return;
}
