// SPDX-License-Identifier: MIT
/// \file
/// `diagnose`: what really happened to an attempt, from the library's error code, what our callbacks saw, the kernel and the
/// clock. Pure, so that a table can test it.
#pragma once

#include <again/core/clock.hpp>
#include <again/http/error_kind.hpp>
#include <again/httplib/detail/httplib_versions.hpp>
#include <again/httplib/detail/socket_watch.hpp>
#include <again/net/detail/diagnosis.hpp>
#include <again/policy/verdict.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// What our own callbacks saw.
struct observed {
  bool headers_complete = false;  ///< status and headers are known
  bool chunked = false;           ///< framing of the body
  bool until_close = false;       ///< the body ends with the connection: only how that ended tells whether it is whole
  bool complete = false;          ///< a whole response by our own judgement, whatever the library says
  bool interim = false;           ///< a status below 200 that we could not read past
  bool parsed_here = false;       ///< we read the response ourselves, as far as it came
  bool head_begun = false;        ///< and something of the final response's head came
  const char* malformed = nullptr;  ///< what our parser does not understand of it
  bool bad_framing = false;         ///< Content-Length or Transfer-Encoding that mean nothing
  bool too_large = false;           ///< the body passes the limit
  std::string body_failure;         ///< why the request's own body could not be had
  int socket_error = 0;             ///< where we read and write ourselves: how that failed (wire_listener::on_failure)
  duration quiet{};                 ///< where the library does: since our callbacks saw something last
};

/// Long enough without a byte to be a timeout? The kernel counts in ticks of up to 10 ms.
inline bool timed_out(duration quiet, duration limit) noexcept {
  return quiet >= limit - std::min<duration>(limit / 4, std::chrono::milliseconds{10});
}

inline diagnosis diagnose(httplib_says says, const observed& seen, const socket_watch::report& socket, bool tls,
                          duration connecting, duration connect_limit, duration idle_limit) {
  const auto answered = seen.headers_complete ? reach::answered : socket.how_far;
  const auto failed = [](error_kind k, reach r, std::string text) { return diagnosis{false, k, r, std::move(text)}; };

  if (!seen.body_failure.empty()) return failed(error_kind::invalid_request, socket.how_far, seen.body_failure);
  if (seen.too_large) return failed(error_kind::too_large, reach::answered, "the body is larger than allowed");
  if (seen.malformed != nullptr) return failed(error_kind::protocol, reach::answered, seen.malformed);
  if (seen.bad_framing)
    return failed(error_kind::protocol, reach::answered, "the response's framing headers mean nothing");
  if (seen.interim) {
    return failed(error_kind::protocol, reach::answered, "an interim response came that cpp-httplib cannot read past");
  }
  // Some versions (0.14 to 0.18) take any end of the connection for the end of such a body. Under TLS anyone can send a FIN;
  // only close_notify is the peer's word (RFC 9112 9.8).
  const bool in_order =
      !seen.until_close || (socket.close_notify && (socket.timed || (socket.peer_closed && !socket.reset)));
  // Some of the later ones take the peer's close_notify for an error.
  const bool ended_by_notify =
      tls && seen.until_close && socket.close_notify && in_order && says == httplib_says::other;
  if ((says == httplib_says::success && in_order) || ended_by_notify || seen.complete)
    return diagnosis{true, error_kind::status, reach::answered, {}};
  if (socket.second_refused) {
    return failed(error_kind::closed, answered, "the connection was closed, and a hidden second send was refused");
  }

  switch (says) {
    case httplib_says::no_connection: return no_connection(socket.connect_error);
    case httplib_says::connect_timeout:
      return failed(error_kind::connect_timeout, reach::not_sent, "no connection in time");
    case httplib_says::tls_certificates:
      return failed(error_kind::tls_verify, reach::not_sent, "the certificates to trust could not be read");
    case httplib_says::tls_verify:
      return failed(error_kind::tls_verify, reach::not_sent,
                    "the peer's certificate is not one we trust for this host");
    case httplib_says::tls:
      if (timed_out(connecting, connect_limit)) {
        return failed(error_kind::connect_timeout, reach::not_sent, "the TLS handshake did not finish in time");
      }
      return failed(error_kind::tls_handshake, reach::not_sent, "the TLS handshake failed");
    default: break;
  }

  const int error = seen.socket_error;
  const duration quiet =
      socket.received ? std::min<duration>(seen.quiet, std::chrono::milliseconds{socket.quiet_ms}) : seen.quiet;
  const bool silence = seen.parsed_here ? error == ETIMEDOUT : timed_out(quiet, idle_limit);
  const bool reset = socket.reset || error == ECONNRESET;
  const bool ours = is_shortage(error);
  if (!ours && seen.headers_complete && !reset && !silence && seen.chunked && !socket.peer_closed && !socket.timed)
    return failed(error_kind::protocol, reach::answered, "the response's chunks are malformed");
  // Under TLS what came may be a record of the session itself; the end of the stream tells.
  if (!ours && !seen.headers_complete && !reset && !silence && !seen.head_begun && !seen.parsed_here &&
      socket.received && !(tls && socket.peer_closed)) {
    return failed(error_kind::protocol, answered, "the response's head is not HTTP/1.1, or it was cut short");
  }
  return diagnose({.reach = answered,
                   .head = seen.headers_complete,
                   .begun = seen.head_begun,
                   .reset = reset,
                   .silence = silence,
                   .writing = says == httplib_says::write,
                   .error = error});
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
