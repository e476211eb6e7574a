// SPDX-License-Identifier: MIT
// EXPECT: again: a sender is awaited by co_await again::execution::as_awaitable(sender), which throws what it fails with
#include <again/again.hpp>
#include <again/execution.hpp>

again::run_loop& loop();

again::task<> f() { co_await again::execution::loop_scheduler{loop()}.schedule(); }
