// SPDX-License-Identifier: MIT
#include "results.hpp"

int main() {
  const auto failure = returns_a_failure();
  const auto task = returns_a_task();
  const auto result = returns_an_expected();
  return result ? 0 : 1;
}
