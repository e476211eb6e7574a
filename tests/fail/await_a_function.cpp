// SPDX-License-Identifier: MIT
// EXPECT: again: this function makes what can be awaited; call it: co_await f()
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<> f() {
  auto r = co_await load;
  (void)r;
}
