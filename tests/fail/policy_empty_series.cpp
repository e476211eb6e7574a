// SPDX-License-Identifier: MIT
// EXPECT: backoff_series_must_not_be_empty
#include <again/policy/policy.hpp>

constexpr auto p = again::checked({.backoff = {.kind = again::backoff::kinds::fixed}});
