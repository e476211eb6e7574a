// SPDX-License-Identifier: MIT
// EXPECT: again::guard: a fallback that cannot fail hides every failure from the breaker; put the breaker inside
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

auto f() { return again::guard(shared_breaker, again::fallback(load, 1)); }
