// SPDX-License-Identifier: MIT
// EXPECT: deadline_must_be_positive
#include <again/policy/policy.hpp>

using namespace std::chrono_literals;

constexpr auto p = again::checked({.deadline = -1s});
