// SPDX-License-Identifier: MIT
/// \file
/// `diagnosis`: what really happened to an attempt, in the words that all transports share. Pure, so that a table can test it.
#pragma once

#include <again/core/expected.hpp>
#include <again/http/error_kind.hpp>
#include <again/policy/verdict.hpp>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// "Cannot allocate memory".
inline std::string reason_of(int error) { return std::generic_category().message(error); }

struct diagnosis {
  bool success = false;
  error_kind kind = error_kind::protocol;
  again::reach reach = again::reach::maybe_sent;
  std::string text;
};

/// Does this errno say that our own side has nothing left: no memory for the socket, no descriptor, no port?
inline bool is_shortage(int error) noexcept {
  switch (error) {
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
    case EADDRNOTAVAIL: return true;
    default: return false;
  }
}

/// Why there is no connection. `why`: errno; 0: nobody knows.
inline diagnosis no_connection(int why) {
  if (why == ETIMEDOUT) return {false, error_kind::connect_timeout, reach::not_sent, "no connection in time"};
  return {false, is_shortage(why) ? error_kind::shortage : error_kind::refused, reach::not_sent,
          why == 0 ? "no connection" : "no connection: " + reason_of(why)};
}

/// How a connection broke under a request.
struct broken_exchange {
  again::reach reach = again::reach::maybe_sent;
  bool head = false;     ///< status and headers of the final response are known
  bool begun = false;    ///< something of them has come
  bool reset = false;    ///< by the peer
  bool silence = false;  ///< nothing has moved for the time limit
  bool writing = false;  ///< while the request was being written
  int error = 0;         ///< errno; 0: it ended in order, or only TLS knows why
};

inline diagnosis diagnose(const broken_exchange& b) {
  const auto failed = [](error_kind k, reach r, std::string text) { return diagnosis{false, k, r, std::move(text)}; };
  if (is_shortage(b.error))
    return failed(error_kind::shortage, b.reach, "the connection failed: " + reason_of(b.error));
  if (b.head) {
    if (b.reset) return failed(error_kind::truncated, reach::answered, "the connection was reset inside the response");
    if (b.silence) return failed(error_kind::timeout, reach::answered, "the response stopped coming");
    return failed(error_kind::truncated, reach::answered, "the connection was closed inside the response");
  }
  if (b.reset) return failed(error_kind::reset, b.reach, "the connection was reset before a response");
  if (b.silence)
    return failed(error_kind::timeout, b.reach,
                  b.writing ? "the request could not be written in time" : "no response in time");
  if (b.begun)
    return failed(error_kind::truncated, reach::answered, "the connection was closed inside the response's head");
  // No route to the peer any more, and the like.
  if (b.error != 0 && b.error != EPIPE)
    return failed(error_kind::reset, b.reach, "the connection broke: " + reason_of(b.error));
  return failed(error_kind::closed, b.reach, "the connection was closed before a response");
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
