// SPDX-License-Identifier: MIT
// EXPECT: jitter_share_must_be_between_0_and_1
#include <again/policy/policy.hpp>

using namespace std::chrono_literals;

constexpr auto p = again::checked({.jitter = again::jitter::proportional(1.5)});
