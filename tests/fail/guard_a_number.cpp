// SPDX-License-Identifier: MIT
// EXPECT: again: this is not an operation
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

auto f() { return again::guard(shared_breaker, 3); }
