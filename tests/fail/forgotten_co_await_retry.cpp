// SPDX-License-Identifier: MIT
// EXPECT: again: this has not been awaited yet: write co_await before it (outside of a coroutine: again::sync_wait)
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<int> f() {
  auto r = again::retry(polite, load);
  if (!r) co_return 1;
  co_return 0;
}
