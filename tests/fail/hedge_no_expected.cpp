// SPDX-License-Identifier: MIT
// EXPECT: again: the operation must give an expected<T, E>, so that a failure can be seen
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

again::task<int> count();
auto f() { return again::hedge({}, count); }
