// SPDX-License-Identifier: MIT
// EXPECT: again::execution::as_awaitable: the sender can complete with different values; make one of them: as_awaitable(into_variant(sender))
#include <again/again.hpp>
#include <again/execution.hpp>

namespace lib = again::execution::lib;

struct either {
  using sender_concept = lib::sender_tag;
  using completion_signatures = lib::completion_signatures<lib::set_value_t(int), lib::set_value_t(char)>;
};

void f(either s) { (void)again::execution::as_awaitable(s); }
