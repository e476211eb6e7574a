// SPDX-License-Identifier: MIT
// NEEDS: asio.hpp
// FLAGS: -DAGAIN_STANDALONE_ASIO
// FLAGS-clang: -DASIO_HAS_CO_AWAIT
// EXPECT: again: a coroutine of Asio runs on an executor; give the operation the token again::asio::use_expected, or write co_await boost::asio::co_spawn(executor, f(), again::asio::use_expected)
#include <again/again.hpp>
#include <again/asio.hpp>

asio::awaitable<int> theirs();

again::task<int> f() { co_return co_await theirs(); }
