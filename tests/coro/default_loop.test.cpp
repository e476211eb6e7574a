// SPDX-License-Identifier: MIT
#include <again/coro/default_loop.hpp>
#include <again/coro/sleep.hpp>

#include <doctest/doctest.h>

#include "support/minimal_coroutine.hpp"

using namespace std::chrono_literals;

namespace {

again_test::promised<bool> sleeps_elsewhere() {
  const bool slept = co_await again::sleep_for(1ms);  // real time: the default loop has the system's clock
  co_return slept&& again::detail::default_loop().here();
}

}  // namespace

TEST_CASE("there is one default loop, and it runs on a thread that is not the caller's") {
  again::scheduler& loop = again::detail::default_loop();
  CHECK(&loop == &again::detail::default_loop());
  CHECK_FALSE(loop.here());
}

TEST_CASE("a coroutine that has no scheduler is resumed on the default loop") { CHECK(sleeps_elsewhere().get()); }
