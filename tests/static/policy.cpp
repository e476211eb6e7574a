// SPDX-License-Identifier: MIT
#include <again/policy/policy.hpp>

#include <type_traits>

using namespace std::chrono_literals;

// Data, wherever it is written: g++ 12 destroys other aggregates twice in a co_await expression.
static_assert(std::is_trivially_copyable_v<again::policy> && std::is_trivially_destructible_v<again::policy>);
static_assert(std::is_aggregate_v<again::policy>);
static_assert(std::is_trivially_destructible_v<again::checked_policy>);
static_assert(std::is_trivially_copyable_v<again::backoff> && std::is_trivially_copyable_v<again::jitter>);

// The default policy is finite and keeps its own rules.
static_assert(!again::validate(again::policy{}));
static_assert(again::policy{}.attempts != again::unlimited && again::policy{}.deadline != again::forever);
static_assert(again::attempt_bound(again::policy{}) < again::policy{}.deadline);

// A policy may stand where a checked one is asked for; a checked one is made of nothing else.
static_assert(std::is_convertible_v<again::policy, again::checked_policy>);
static_assert(std::is_convertible_v<again::checked_policy, const again::policy&>);
static_assert(!std::is_constructible_v<again::checked_policy, int>);
static_assert(!std::is_default_constructible_v<again::checked_policy>);

// Both responses of `validate`, in a constant expression.
static_assert(!again::validate({.attempts = 1, .backoff = again::constant(0ms)}));
static_assert(again::validate({.attempts = 0}) == again::policy_rule::attempts_must_be_at_least_1);
static_assert(again::validate({.attempts = again::unlimited, .deadline = 1s}) == std::nullopt);
static_assert(again::validate({.attempts = again::unlimited, .deadline = again::forever}) ==
              again::policy_rule::unlimited_attempts_need_a_deadline);
