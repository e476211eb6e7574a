// SPDX-License-Identifier: MIT
// EXPECT: nodiscard
#include <again/task.hpp>
#include <again/when_all.hpp>

again::task<> nothing();
again::task<> f() {
  again::when_all(nothing(), nothing());
  co_return;
}
