// SPDX-License-Identifier: MIT
/// \file
/// Tasks that end after a while.
#pragma once

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>

#include <stdexcept>

namespace again_test {

inline again::task<int> after(again::duration d, int n) {
  (void)co_await again::sleep_for(d);
  co_return n;
}
inline again::task<int> throws_after(again::duration d) {
  (void)co_await again::sleep_for(d);
  throw std::runtime_error{"thrown"};
}

}  // namespace again_test
