// SPDX-License-Identifier: MIT
// EXPECT: backoff_must_not_be_negative
#include <again/policy/policy.hpp>

using namespace std::chrono_literals;

constexpr auto p = again::checked({.backoff = again::constant(-1ms)});
