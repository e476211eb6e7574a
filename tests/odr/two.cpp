// SPDX-License-Identifier: MIT
#include "the_other_unit.hpp"

validate_function* the_other_validate() { return &again::validate; }

again::task<again::expected<int, char>> the_other_task(int n) {
  const auto got =
      co_await again::retry(again::policy{}, [&]() -> again::task<again::expected<int, char>> { co_return n; });
  co_return *got;
}
