// SPDX-License-Identifier: MIT
/// \file
/// `tcp_state`: what the kernel knows of a TCP connection: bytes sent and received, and which side ended it. Linux (4.19 and
/// newer). Elsewhere, and for other sockets, `known` is false and everything above falls back to "maybe sent".
#pragma once

#include <again/core/expected.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <netinet/in.h>
#include <sys/socket.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// A snapshot. Cost: two system calls, 0.6 µs.
struct tcp_state {
  bool known = false;
  bool peer_closed = false;    ///< the peer's FIN came and we have answered it, or are about to
  bool reset = false;          ///< gone without a FIN of ours being acknowledged: refused, or reset by the peer
  std::uint64_t queued = 0;    ///< payload handed to TCP: sent, or waiting to be
  std::uint64_t received = 0;  ///< payload that arrived, read or not; a FIN counts one
  std::uint32_t quiet_ms = 0;  ///< since the last payload arrived
};

#if defined(__linux__)

/// The part of the kernel's struct tcp_info that is read here. <netinet/tcp.h> ends before it, <linux/tcp.h> clashes with that.
struct kernel_tcp_info {
  std::uint8_t state = 0, bytes_1_to_7[7] = {};
  std::uint32_t words_8_to_51[11] = {}, last_data_received = 0, words_56_to_103[12] = {};
  std::uint64_t pacing_rate = 0, max_pacing_rate = 0, bytes_acknowledged = 0, bytes_received = 0;
  std::uint32_t segments_out = 0, segments_in = 0, not_sent = 0, words_148_to_159[3] = {};
  std::uint64_t longs_160_to_191[4] = {};
  std::uint32_t words_192_to_199[2] = {};
  std::uint64_t bytes_sent = 0, bytes_sent_again = 0;
};
static_assert(offsetof(kernel_tcp_info, last_data_received) == 52 && offsetof(kernel_tcp_info, bytes_received) == 128 &&
              offsetof(kernel_tcp_info, not_sent) == 144 && sizeof(kernel_tcp_info) == 216);

inline bool read_tcp_info(int fd, kernel_tcp_info& into) noexcept {
  constexpr int tcp_info_option = 11;
  socklen_t length = sizeof into;
  return fd >= 0 && ::getsockopt(fd, IPPROTO_TCP, tcp_info_option, &into, &length) == 0 && length >= sizeof into;
}

inline tcp_state tcp_state_of(int fd) noexcept {
  enum : std::uint8_t { time_wait = 6, close = 7, close_wait = 8, last_ack = 9, closing = 11 };
  // The kernel reads the state before it locks the socket and counts: a FIN in between would be counted as payload. So the counts
  // are taken together with a state that was the same before and after.
  kernel_tcp_info info, later;
  if (!read_tcp_info(fd, later)) return {};
  do {
    info = later;
    if (!read_tcp_info(fd, later)) return {};
  } while (info.state != later.state);
  tcp_state s;
  s.known = true;
  // Nothing acknowledged, not even our SYN: never connected, and what counts as queued then is not payload.
  if (info.bytes_acknowledged > 0) s.queued = info.bytes_sent - info.bytes_sent_again + info.not_sent;
  s.received = info.bytes_received;
  s.quiet_ms = info.last_data_received;
  // Acknowledged counts the SYN and our FIN as one each. A socket that went straight to CLOSE had no FIN acknowledged.
  const bool our_fin_acknowledged = info.bytes_acknowledged > info.bytes_sent - info.bytes_sent_again + 1;
  s.reset = info.state == close && !our_fin_acknowledged;
  s.peer_closed = info.state == close_wait || info.state == last_ack || info.state == closing ||
                  info.state == time_wait || (info.state == close && our_fin_acknowledged);
  return s;
}

#else

inline tcp_state tcp_state_of(int) noexcept { return {}; }

#endif

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
