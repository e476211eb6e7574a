// SPDX-License-Identifier: MIT
/// \file
/// `wire_stream` and `own_wire_client`: our own reading and writing between cpp-httplib's client and the socket. The library
/// connects, shakes hands and writes the request. The response is read by us, byte for byte as it was sent, and the library
/// gets an empty one in its place.
///
/// Threads: the worker that makes the attempt. Another thread only shuts the socket down (socket_watch), which ends a call here.
#pragma once

#include <again/core/clock.hpp>
#include <again/httplib/detail/httplib_versions.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// What a `wire_stream` reports to.
class wire_listener {
 public:
  /// Bytes of the response. False: no more are wanted.
  virtual bool on_bytes(std::string_view bytes) = 0;
  /// The peer has ended the connection, in order.
  virtual void on_end() = 0;
  /// Has a whole response come?
  virtual bool complete() const = 0;
  /// Until when the rest of the response is waited for, where that is not only a matter of the idle limit.
  virtual std::optional<std::chrono::steady_clock::time_point> wait_until() const = 0;
  /// Bytes were written to the socket, or to the TLS session.
  virtual void on_written(std::size_t n) = 0;

 protected:
  ~wire_listener() = default;
};

/// `which`: SO_RCVTIMEO or SO_SNDTIMEO.
inline void limit_socket(int fd, int which, again::duration to) noexcept {
  const auto us = std::chrono::ceil<std::chrono::microseconds>(to).count();
  ::timeval limit{};
  limit.tv_sec = static_cast<decltype(limit.tv_sec)>(us / 1'000'000);
  limit.tv_usec = static_cast<decltype(limit.tv_usec)>(us % 1'000'000);
  static_cast<void>(::setsockopt(fd, SOL_SOCKET, which, &limit, sizeof limit));
}

/// One request and its response on a connected socket, with or without TLS. Owns neither. One system call each to write and to
/// read: the socket's own time limits do the waiting, and poll() where it does not block.
class wire_stream : public httplib::Stream {
 public:
  // NOLINTBEGIN(modernize-use-override): which of these are virtual depends on the version
  wire_stream(int fd, void* tls, again::duration idle_limit, wire_listener& listener) noexcept
      : fd_{fd}, tls_{tls}, limit_{idle_limit}, listener_{listener} {}

  bool is_readable() const { return wait(POLLIN, again::duration::zero()); }
  bool is_writable() const { return wait(POLLOUT, again::duration::zero()); }
  bool wait_readable() const { return wait(POLLIN, limit_); }
  bool wait_writable() const { return wait(POLLOUT, limit_); }

  /// The library's turn to read: reads the whole response first, then gives the library an empty one.
  ssize_t read(char* into, std::size_t n) {
    if (!complete_) complete_ = read_response();
    if (!*complete_) return -1;
    const std::size_t part = std::min(n, empty_response_.size());
    std::memcpy(into, empty_response_.data(), part);
    empty_response_.remove_prefix(part);
    return static_cast<ssize_t>(part);
  }
  ssize_t write(const char* from, std::size_t n) {
    std::size_t done = 0;
    while (done < n) {
      const ssize_t sent = send_some({from + done, n - done});
      if (sent <= 0) return -1;
      done += static_cast<std::size_t>(sent);
      listener_.on_written(static_cast<std::size_t>(sent));
    }
    return static_cast<ssize_t>(n);
  }
  using httplib::Stream::write;
  /// Was the socket's limit on the time to read changed?
  bool hurried() const noexcept { return hurried_; }

  void get_remote_ip_and_port(std::string&, int&) const {}
  void get_local_ip_and_port(std::string&, int&) const {}
  auto socket() const -> decltype(std::declval<const httplib::Stream&>().socket()) { return fd_; }
  std::time_t duration() const { return 0; }  // only read where a server logs

  // NOLINTEND(modernize-use-override)

 private:
  using steady = std::chrono::steady_clock;

  bool wait(short what, again::duration at_most) const noexcept {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(std::max(at_most, again::duration::zero())).count();
    ::pollfd p{fd_, what, 0};
    const int n = ::poll(&p, 1, static_cast<int>(std::min<long long>(ms, 1'000'000'000)));
    return n > 0 || (n < 0 && errno == EINTR);  // then the caller finds out that it has to wait some more
  }
  /// True: a whole one has come.
  bool read_response() {
    char buffer[16384];
    for (;;) {
      if (const auto until = listener_.wait_until(); until && !hurry(*until - steady::now())) return false;
      const ssize_t n = receive_some(buffer);
      if (n < 0) return false;
      if (n == 0) {
        listener_.on_end();
        return listener_.complete();
      }
      if (!listener_.on_bytes({buffer, static_cast<std::size_t>(n)})) return listener_.complete();
    }
  }

  /// From now on nothing is waited for longer than `left`. False: that is nothing.
  bool hurry(again::duration left) noexcept {
    if (left <= again::duration::zero()) return false;
    if (left >= limit_) return true;
    limit_ = left;
    hurried_ = true;
    limit_socket(fd_, SO_RCVTIMEO, left);
    return true;
  }
  /// Repeats `once` until it is done or time is over. `once` gives what a system call gives, and in `needs` what it waits for.
  template <class Once> ssize_t until_done(Once&& once) const {
    const auto begun = steady::now();
    for (;;) {
      short needs = 0;
      const ssize_t n = once(needs);
      if (needs == 0) return n;
      if (!wait(needs, limit_ - (steady::now() - begun))) return -1;
    }
  }
  ssize_t receive_some(std::span<char> into) const {
    return until_done([&](short& needs) -> ssize_t {
      if (tls_ != nullptr) return over_tls(false, into.data(), into.size(), needs);
      const ssize_t n = ::recv(fd_, into.data(), into.size(), 0);
      if (n < 0 && would_block()) needs = POLLIN;
      return n;
    });
  }
  ssize_t send_some(std::string_view from) const {
    return until_done([&](short& needs) -> ssize_t {
      if (tls_ != nullptr) return over_tls(true, const_cast<char*>(from.data()), from.size(), needs);
      const ssize_t n = ::send(fd_, from.data(), from.size(), MSG_NOSIGNAL);
      if (n < 0 && would_block()) needs = POLLOUT;
      return n;
    });
  }
  static bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

  /// 0: the peer has sent close_notify; a connection that ends without it is an error (RFC 9112 9.8).
  ssize_t over_tls([[maybe_unused]] bool writes, [[maybe_unused]] char* bytes, [[maybe_unused]] std::size_t size,
                   [[maybe_unused]] short& needs) const {
#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)
    auto* const session = static_cast<SSL*>(tls_);
    const int part = static_cast<int>(std::min<std::size_t>(size, 1U << 30U));
    ERR_clear_error();
    const int n = writes ? SSL_write(session, bytes, part) : SSL_read(session, bytes, part);
    if (n > 0) return n;
    const int why = SSL_get_error(session, n);
    ERR_clear_error();
    if (why == SSL_ERROR_ZERO_RETURN) return 0;
    if (why == SSL_ERROR_WANT_READ) needs = POLLIN;
    if (why == SSL_ERROR_WANT_WRITE) needs = POLLOUT;
#endif
    return -1;
  }

  const int fd_;
  void* const tls_;
  again::duration limit_;
  bool hurried_ = false;
  wire_listener& listener_;
  std::optional<bool> complete_;
  std::string_view empty_response_ = "HTTP/1.1 204 No Content\r\n\r\n";
};

/// A client of cpp-httplib that reads and writes by ourselves. Set `next` before each send.
template <class Base> class own_wire_client final : public Base {
 public:
  using Base::Base;

  struct {
    wire_listener* listener = nullptr;
    again::duration idle_limit{};
  } next;
  /// Before a send that will open a connection: the new socket has no time limit yet.
  void forget_socket() noexcept { limit_of_socket_ = {}; }

 private:
  using socket_type = typename Base::Socket;

  // One of the two is what the library calls, and so are their parameters.
  // NOLINTBEGIN(modernize-use-override,performance-unnecessary-value-param)
  bool process_socket(const socket_type& socket, std::function<bool(httplib::Stream&)> callback) {
    const auto fd = static_cast<int>(socket.sock);
    if (limit_of_socket_ != next.idle_limit) {
      limit_of_socket_ = next.idle_limit;
      limit_socket(fd, SO_RCVTIMEO, next.idle_limit);
      limit_socket(fd, SO_SNDTIMEO, next.idle_limit);
    }
    wire_stream stream{fd, session_of(socket), next.idle_limit, *next.listener};
    const bool done = callback(stream);
    if (stream.hurried()) forget_socket();
    return done;
  }
  bool process_socket(const socket_type& socket, std::chrono::time_point<std::chrono::steady_clock>,
                      std::function<bool(httplib::Stream&)> callback) {
    return process_socket(socket, std::move(callback));
  }
  // NOLINTEND(modernize-use-override,performance-unnecessary-value-param)
  template <class S> static void* session_of(const S& socket) noexcept {
    if constexpr (requires { socket.ssl; }) {
      return socket.ssl;
    } else {
      return nullptr;
    }
  }

  again::duration limit_of_socket_{};
};

/// `own_wire_client` where the library lets us derive: always without TLS, and with TLS before 0.16.
template <class Base> struct own_wire_if_derivable {
  using type = own_wire_client<Base>;
};
template <class Base>
  requires std::is_final_v<Base>
struct own_wire_if_derivable<Base> {
  using type = Base;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
