// SPDX-License-Identifier: MIT
#include "results.hpp"

again::failure<int> returns_a_failure() { return again::failure<int>{std::in_place}; }
again::task<int> returns_a_task() { co_return 1; }
again::expected<int, again::failure<int>> returns_an_expected() { return 1; }
