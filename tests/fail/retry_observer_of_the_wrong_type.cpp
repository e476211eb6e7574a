// SPDX-License-Identifier: MIT
// EXPECT: again::retry(...).observe(see): see must be callable with const again::attempt_record&
#include <again/coro/task.hpp>
#include <again/retry.hpp>

again::task<again::expected<int, char>> load(int);
again::task<> f() {
  auto op = [] { return load(1); };
  auto r = co_await again::retry(again::policy{}, op).observe([](int) {});
}
