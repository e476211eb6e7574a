// SPDX-License-Identifier: MIT
// EXPECT: again: a task runs once, and one that has a name is moved into the await: co_await std::move(task)
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<> f() {
  auto t = load();
  auto r = co_await t;
}
