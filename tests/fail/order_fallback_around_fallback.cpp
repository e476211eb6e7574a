// SPDX-License-Identifier: MIT
// EXPECT: again::fallback: this operation cannot fail, it has a fallback already
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

auto f() { return again::fallback(again::fallback(load, 1), 2); }
