// SPDX-License-Identifier: MIT
// EXPECT: again: this function returns nothing that can be awaited; make a coroutine of it: [&]() -> again::task<R> { co_return f(); }, where R
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<> f() {
  auto r = co_await again::retry(polite, [](int) { return load_now(); }, 3);
  (void)r;
}
