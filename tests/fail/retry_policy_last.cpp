// SPDX-License-Identifier: MIT
// EXPECT: again::retry: the policy comes first; write retry(policy, op)
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<> f() {
  auto r = co_await again::retry(load, polite);
  (void)r;
}
