// SPDX-License-Identifier: MIT
// EXPECT: again/execution.hpp: this awaitable cannot be moved into a sender; pass a function that makes it: as_sender([&] { return when_all(a(), b()); })
#include <again/again.hpp>
#include <again/execution.hpp>

again::task<int> a();
again::task<int> b();

void f() { (void)again::execution::as_sender(again::when_all(a(), b())); }
