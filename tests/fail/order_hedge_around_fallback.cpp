// SPDX-License-Identifier: MIT
// EXPECT: again::hedge: a fallback that cannot fail wins at once; put the hedge inside
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

auto f() { return again::hedge({}, again::fallback(load, 1)); }
