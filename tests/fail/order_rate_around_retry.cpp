// SPDX-License-Identifier: MIT
// EXPECT: again::rate: around a retry it would not see the retries; put it inside
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

auto f() { return again::rate(shared_rate, again::retry(again::policy{}, load)); }
