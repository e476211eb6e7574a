// SPDX-License-Identifier: MIT
// EXPECT: again::fallback: the substitute must be an operation that gives an expected of the same value
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

struct other {};
auto f() { return again::fallback(load, other{}); }
