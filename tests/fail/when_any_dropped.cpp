// SPDX-License-Identifier: MIT
// EXPECT: nodiscard
#include <again/task.hpp>
#include <again/when_any.hpp>

again::task<> nothing();
again::task<> f() {
  again::when_any(nothing(), nothing());
  co_return;
}
