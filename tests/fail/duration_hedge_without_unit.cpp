// SPDX-License-Identifier: MIT
// EXPECT: again: a duration needs a unit: write 5s or 5000ms
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();

again::task<> f() { auto r = co_await again::hedge({.delay = 50}, load); }
