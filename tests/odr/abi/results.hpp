// SPDX-License-Identifier: MIT
// What makes.cpp defines and uses.cpp calls: functions that name the library in their result alone.
#pragma once

#include <again/core/expected.hpp>
#include <again/coro/task.hpp>
#include <again/policy/failure.hpp>

again::failure<int> returns_a_failure();
again::task<int> returns_a_task();
again::expected<int, again::failure<int>> returns_an_expected();
