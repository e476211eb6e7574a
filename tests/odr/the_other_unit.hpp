// SPDX-License-Identifier: MIT
// What two.cpp defines and one.cpp uses.
#pragma once

#include "all_headers.hpp"

#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/retry.hpp>

using validate_function = std::optional<again::policy_rule>(const again::policy&) noexcept;
validate_function* the_other_validate();
again::task<again::expected<int, char>> the_other_task(int n);
