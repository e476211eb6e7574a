// SPDX-License-Identifier: MIT
// EXPECT: attempts_must_be_at_least_1
#include <again/policy/policy.hpp>

using namespace std::chrono_literals;

constexpr auto p = again::checked({.attempts = 0});
