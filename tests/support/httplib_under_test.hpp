// SPDX-License-Identifier: MIT
/// \file
/// See transport_under_test.hpp: the transport over cpp-httplib.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/httplib/client.hpp>
#include <again/httplib/transport.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace again_test {

using transport_under_test = again::http::httplib_transport;
using transport_options = again::http::httplib_options;
using again::http::client;

/// What the message about an option begins with.
inline constexpr const char* options_name = "again: httplib_options: ";

/// Awaits on this thread.
template <again::awaitable A> again::await_result_t<A> run(A&& awaited, again::inplace_stop_token stop = {}) {
  return again::sync_wait(std::forward<A>(awaited), stop);
}
/// Awaits where `loop`, whose time is pretended, stands for whatever loop the transport has in this run of the tests.
template <again::awaitable A>
again::await_result_t<A> run_pretending(again::run_loop& loop, A&& awaited, again::inplace_stop_token stop = {}) {
  return again::sync_wait(loop, std::forward<A>(awaited), stop);
}
/// False where `run_pretending` waits in real time after all.
inline bool can_pretend() noexcept { return true; }

// ── what may differ ──

/// As few threads as so many attempts at a time need: here one each.
inline transport_options with_threads_for(std::size_t attempts, transport_options o = {}) {
  o.workers = attempts;
  return o;
}
/// An idle worker closes what has been idle for too long.
inline bool closes_idle_connections_by_itself() noexcept { return true; }
/// The longest line that the head of a response may have: our own parser bounds the lines.
inline constexpr std::size_t longest_line_of_a_head = 16384;
/// cpp-httplib has no TLS there.
inline constexpr bool tls_over_unix_sockets = false;
/// With TLS, cpp-httplib from 0.16 on reads a response after it has written the request: docs/http.md.
inline constexpr bool tls_reads_while_it_writes = !std::is_final_v<httplib::SSLClient>;
/// Some versions of cpp-httplib decode a query and encode it anew. What would change is refused.
inline constexpr bool rewrites_queries = again::http::detail::httplib_rewrites_queries;

}  // namespace again_test
