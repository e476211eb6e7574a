// SPDX-License-Identifier: MIT
// EXPECT: unlimited_attempts_need_a_backoff
#include <again/policy/policy.hpp>

using namespace std::chrono_literals;

constexpr auto p = again::checked({.attempts = again::unlimited, .backoff = again::constant(0ms)});
