// SPDX-License-Identifier: MIT
// EXPECT: nodiscard
#include <again/coro/task.hpp>
#include <again/coro/when_any.hpp>

again::task<> nothing();
again::task<> f() {
  again::when_any(nothing(), nothing());
  co_return;
}
