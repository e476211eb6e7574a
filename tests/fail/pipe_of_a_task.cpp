// SPDX-License-Identifier: MIT
// EXPECT: again: a task runs once and cannot be retried; pass the function that makes it
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

auto f() { return load() | again::timeout(1s); }
