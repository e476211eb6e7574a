// SPDX-License-Identifier: MIT
// EXPECT: attempt_timeout_must_not_exceed_deadline
#include <again/policy/policy.hpp>

using namespace std::chrono_literals;

constexpr auto p = again::checked({.attempt_timeout = 3s, .deadline = 2s});
