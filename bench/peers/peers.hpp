// SPDX-License-Identifier: MIT
/// \file
/// The clients that are compared over HTTP: this library's, and those that a program would write over the same sockets. Each keeps its
/// connections from one call to the next; each is used by one thread at a time.
#pragma once

#include "../requests.hpp"

#include <cstddef>
#include <functional>

namespace bench::peers {

/// Sends n requests, as many at a time as it was made for. A request that fails ends the program.
using client = std::function<void(std::size_t n)>;

#if defined(BENCH_WITH_HTTPLIB)
/// A thread and a blocking client for each request in flight.
client httplib_threads(const target& to, std::size_t flights);
#endif

#if defined(BENCH_WITH_CURL)
/// A thread and an easy handle for each request in flight.
client curl_threads(const target& to, std::size_t flights);
/// One thread: the multi interface over epoll (curl_loop.hpp).
client curl_multi(const target& to, std::size_t flights);
#endif

#if defined(BENCH_WITH_BOOST)
/// One thread, one coroutine and one connection for each request in flight. It reads as much HTTP as its server speaks.
client asio_by_hand(const target& to, std::size_t flights);
/// The same with Beast's messages and parser over a `tcp_stream`. `bounded`: with a bound of 30 s on each request.
client beast_by_hand(const target& to, std::size_t flights, bool bounded);
#endif

/// How `again` is run.
struct settings {
  bool retried = true;       ///< each request is wrapped in a retry with the usual policy
  bool shared_loop = false;  ///< over cpp-httplib: `run_loop::share_with_workers`
  bool own_thread =
      false;  ///< over Beast: the transport has a thread, and a `run_loop` the calling one; else all is on one io_context
};

#if defined(BENCH_WITH_HTTPLIB)
client again_over_httplib(const target& to, std::size_t flights, settings how);
#endif
#if defined(BENCH_WITH_AGAIN_BEAST)
client again_over_beast(const target& to, std::size_t flights, settings how);
#endif

}  // namespace bench::peers
