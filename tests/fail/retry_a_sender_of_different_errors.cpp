// SPDX-License-Identifier: MIT
// EXPECT: again::retry: the sender fails with errors of different types; make one of them with let_error, or exceptions: set_error(std::exception_ptr)
#include <again/again.hpp>
#include <again/execution.hpp>

namespace lib = again::execution::lib;

struct fails_in_two_ways {
  using sender_concept = lib::sender_tag;
  using completion_signatures =
      lib::completion_signatures<lib::set_value_t(), lib::set_error_t(int), lib::set_error_t(char)>;
};

void f(fails_in_two_ways s) {
  (void)again::retry({.attempts = 3}, [s] { return s; });
}
