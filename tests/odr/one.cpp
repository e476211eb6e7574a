// SPDX-License-Identifier: MIT
#include "the_other_unit.hpp"

// What one unit makes the other can use, and both see the same functions.
int main() {
  const auto got = again::sync_wait(again::retry(again::policy{}, the_other_task, 42));
  const bool same_value = got && *got == 42;
  const decltype(the_other_validate()) this_validate = &again::validate;  // of several, the one of that type
  const bool same_function = the_other_validate() == this_validate;
  return same_value && same_function ? 0 : 1;
}
