// SPDX-License-Identifier: MIT
// EXPECT: backoff_base_must_not_exceed_cap
#include <again/policy/policy.hpp>

using namespace std::chrono_literals;

constexpr auto p = again::checked({.backoff = again::exponential(3s, 2s)});
