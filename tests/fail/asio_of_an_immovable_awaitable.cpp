// SPDX-License-Identifier: MIT
// NEEDS: asio.hpp
// FLAGS: -DAGAIN_STANDALONE_ASIO
// FLAGS-clang: -DASIO_HAS_CO_AWAIT
// EXPECT: again/asio.hpp: this awaitable cannot be moved into the call; pass a function that makes it: async_run([&] { return when_all(a(), b()); })
#include <again/again.hpp>
#include <again/asio.hpp>

again::task<int> a();
again::task<int> b();

void f(asio::io_context& io) {
  again::asio::async_run(io, again::when_all(a(), b()), [](std::exception_ptr, std::tuple<int, int>) {});
}
