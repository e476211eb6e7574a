// SPDX-License-Identifier: MIT
// EXPECT: attempt_timeout_must_be_positive
#include <again/policy/policy.hpp>

using namespace std::chrono_literals;

constexpr auto p = again::checked({.attempt_timeout = 0ms});
