// SPDX-License-Identifier: MIT
// EXPECT: again::retry: the first argument is a policy and not a duration; write retry({.deadline = 5s}, op), or timeout(5s, op)
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<> f() {
  auto r = co_await again::retry(5s, load);
  (void)r;
}
