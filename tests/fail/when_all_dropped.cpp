// SPDX-License-Identifier: MIT
// EXPECT: nodiscard
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>

again::task<> nothing();
again::task<> f() {
  again::when_all(nothing(), nothing());
  co_return;
}
