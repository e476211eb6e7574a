// SPDX-License-Identifier: MIT
// EXPECT: again::retry: a fallback that cannot fail leaves nothing to retry; put the retry inside
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

auto f() { return again::retry(again::policy{}, again::fallback(load, 1)); }
