// SPDX-License-Identifier: MIT
// EXPECT: backoff_factor_must_be_at_least_1
#include <again/policy/policy.hpp>

using namespace std::chrono_literals;

constexpr auto p = again::checked({.backoff = again::exponential(100ms, 2s, 0.5)});
