// SPDX-License-Identifier: MIT
// EXPECT: server_delay_max_must_not_be_negative
#include <again/policy/policy.hpp>

using namespace std::chrono_literals;

constexpr auto p = again::checked({.server_delay_max = -1s});
