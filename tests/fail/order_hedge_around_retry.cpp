// SPDX-License-Identifier: MIT
// EXPECT: again::hedge: around a retry it would repeat the repeating; hedge inside
#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::breaker shared_breaker;
again::rate_limiter shared_rate{{}};

auto f() { return load | again::retry(again::policy{}) | again::hedge({.delay = 50ms}); }
