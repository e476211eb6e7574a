// SPDX-License-Identifier: MIT
// FLAGS: -Itests/support/folly_lookalike
// EXPECT: again: a folly::coro::Task runs on an executor, which must be named: write co_await folly::coro::co_withExecutor(executor, task()), or std::move(task).scheduleOn(executor)
#include <again/again.hpp>
#include <again/folly.hpp>

folly::coro::Task<int> theirs();

again::task<int> ours() { co_return co_await theirs(); }
