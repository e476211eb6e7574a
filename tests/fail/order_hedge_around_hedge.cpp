// SPDX-License-Identifier: MIT
// EXPECT: again::hedge: this operation is hedged already; set .attempts instead
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

auto f() { return again::hedge({}, again::hedge({}, load)); }
