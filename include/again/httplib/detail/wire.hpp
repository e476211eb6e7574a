// SPDX-License-Identifier: MIT
/// \file
/// `wire_stream` and `own_wire_client`: our own connecting, reading and writing between cpp-httplib's client and the socket. The
/// library shakes hands and writes the request. The response is read by us, byte for byte as it was sent, and the library
/// gets an empty one in its place.
///
/// Threads: the worker that makes the attempt. Another thread only shuts the socket down (socket_watch), which ends a call here.
#pragma once

#include <again/core/clock.hpp>
#include <again/httplib/detail/httplib_versions.hpp>
#include <again/httplib/detail/socket_watch.hpp>
#include <again/net/detail/peer_address.hpp>

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

#include <fcntl.h>
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
  /// Has the head of a final response come that has no use for the rest of the request?
  virtual bool refuses_rest() const = 0;
  /// Until when the rest of the response is waited for, where that is not only a matter of the idle limit.
  virtual std::optional<std::chrono::steady_clock::time_point> wait_until() const = 0;
  /// Bytes were written to the socket, or to the TLS session.
  virtual void on_written(std::size_t n) = 0;
  /// The rest of the request is not written, because of the response.
  virtual void on_write_ended() = 0;
  /// Reading or writing has failed: an errno, ETIMEDOUT where nothing has moved for the time limit, 0 where only TLS knows why.
  virtual void on_failure(int error) = 0;

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
/// read a small request and its response. Without TLS the socket's own time limit waits for the response; all other waits are
/// poll().
///
/// The response is read while the request is written (RFC 9112 9.3 and 9.5), from the third write on and wherever a write would
/// have to wait. A whole response ends the write. So does the head of one of 300 and above, whose rest is then read; with any
/// other the peer may still be reading, and both go on.
class wire_stream : public httplib::Stream {
 public:
  // NOLINTBEGIN(modernize-use-override,readability-convert-member-functions-to-static): which of these are virtual depends on the version
  wire_stream(int fd, void* tls, again::duration idle_limit, wire_listener& listener) noexcept
      : fd_{fd}, tls_{tls}, limit_{idle_limit}, listener_{listener} {}

  bool is_readable() const { return complete_.value_or(false) || wait(POLLIN, again::duration::zero()); }
  bool wait_readable() const { return complete_.value_or(false) || wait(POLLIN, limit_); }
  // The library asks before it writes, and fails at once if the answer is no. `write` does the waiting.
  bool is_writable() const { return true; }
  bool wait_writable() const { return true; }

  /// The library's turn to read: reads the whole response first, then gives the library an empty one.
  ssize_t read(char* into, std::size_t n) {
    if (!complete_) complete_ = read_response();
    if (!*complete_) return -1;
    const std::size_t part = std::min(n, empty_response_.size());
    std::memcpy(into, empty_response_.data(), part);
    empty_response_.remove_prefix(part);
    return static_cast<ssize_t>(part);
  }
  /// -1: it has failed, or a response has ended it. The library closes the connection in both cases.
  ssize_t write(const char* from, std::size_t n) {
    for (std::string_view rest{from, n}; !rest.empty();) {
      if (const auto until = listener_.wait_until(); until && !hurry(*until - steady::now()))
        return fail(ETIMEDOUT), -1;
      if (writes_ >= 2 && !read_early()) return -1;
      const progress p = send_once(rest);
      if (p.n > 0) {
        ++writes_;
        rest.remove_prefix(static_cast<std::size_t>(p.n));
        listener_.on_written(static_cast<std::size_t>(p.n));
      } else if (p.needs == 0) {
        return write_failed(p.error), -1;
      } else if (!wait(static_cast<short>(p.needs | POLLIN), limit_)) {
        return fail(ETIMEDOUT), -1;
      } else {
        writes_ = 2;  // what has ended the wait may be a response
      }
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

  // NOLINTEND(modernize-use-override,readability-convert-member-functions-to-static)

 private:
  using steady = std::chrono::steady_clock;

  /// What one system call, or one call of OpenSSL, has come to.
  struct progress {
    ssize_t n = -1;   ///< bytes; 0: the peer has ended the connection in order
    short needs = 0;  ///< nothing yet: what to poll for
    int error = 0;    ///< failed: see `wire_listener::on_failure`
  };

  bool wait(short what, again::duration at_most) const noexcept {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(std::max(at_most, again::duration::zero())).count();
    ::pollfd p{fd_, what, 0};
    const int n = ::poll(&p, 1, static_cast<int>(std::min<long long>(ms, 1'000'000'000)));
    return n > 0 || (n < 0 && errno == EINTR);  // then the caller finds out that it has to wait some more
  }

  // ── reading ──

  /// True: a whole one has come.
  bool read_response() {
    char buffer[16384];
    for (;;) {
      if (const auto until = listener_.wait_until(); until && !hurry(*until - steady::now())) return fail(ETIMEDOUT);
      const progress p = receive(buffer);
      if (p.n < 0) return fail(p.error);
      if (!take(p, buffer)) return listener_.complete();
    }
  }
  /// Takes what is there of a response, while the request is being written. False: that has ended the write.
  bool read_early() {
    char buffer[16384];
    for (;;) {
      const progress p = receive_once(buffer, MSG_DONTWAIT);
      if (p.needs != 0) return true;
      if (p.n < 0) return fail(p.error);
      const bool over = !take(p, buffer);
      if (!over && !listener_.refuses_rest()) continue;
      listener_.on_write_ended();
      complete_ = over ? listener_.complete() : read_response();
      return false;
    }
  }
  /// False: no more is to be read.
  bool take(const progress& p, const char* buffer) {
    if (p.n > 0) return listener_.on_bytes({buffer, static_cast<std::size_t>(p.n)});
    listener_.on_end();
    return false;
  }
  /// A peer may respond and close before the request is written out. What it has said is still there.
  void write_failed(int error) {
    char buffer[16384];
    for (;;) {
      const progress p = receive_once(buffer, MSG_DONTWAIT);
      if (p.n == 0 && tls_ == nullptr && error != EPIPE) break;  // a reset that the write has seen is no end in order
      if (p.n < 0 || !take(p, buffer)) break;
    }
    if (!listener_.complete()) return static_cast<void>(fail(error));
    listener_.on_write_ended();
    complete_ = true;
  }
  bool fail(int error) {
    listener_.on_failure(error);
    complete_ = false;
    return false;
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
  /// Waits until something has come.
  progress receive(std::span<char> into) const {
    const auto begun = steady::now();
    for (;;) {
      const progress p = receive_once(into, 0);
      if (p.needs == 0) return p;
      if (!wait(p.needs, limit_ - (steady::now() - begun))) return {.error = ETIMEDOUT};
    }
  }
  progress receive_once(std::span<char> into, int flags) const {
    if (tls_ != nullptr) return over_tls(false, into.data(), into.size());
    return outcome(::recv(fd_, into.data(), into.size(), flags), POLLIN);
  }
  progress send_once(std::string_view from) const {
    if (tls_ != nullptr) return over_tls(true, const_cast<char*>(from.data()), from.size());
    return outcome(::send(fd_, from.data(), from.size(), MSG_NOSIGNAL | MSG_DONTWAIT), POLLOUT);
  }
  static progress outcome(ssize_t n, short needs) noexcept {
    if (n >= 0) return {.n = n};
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {.needs = needs};
    return {.error = errno};
  }

  /// 0: the peer has sent close_notify; a connection that ends without it is an error (RFC 9112 9.8). Writes one record at most,
  /// because OpenSSL wants a write that it could not finish again as it was.
  progress over_tls([[maybe_unused]] bool writes, [[maybe_unused]] char* bytes,
                    [[maybe_unused]] std::size_t size) const {
#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)
    auto* const session = static_cast<SSL*>(tls_);
    const int part = static_cast<int>(std::min<std::size_t>(size, SSL3_RT_MAX_PLAIN_LENGTH));
    ERR_clear_error();
    errno = 0;
    const int n = writes ? SSL_write(session, bytes, part) : SSL_read(session, bytes, part);
    const int error = errno;
    if (n > 0) return {.n = n};
    const int why = SSL_get_error(session, n);
    ERR_clear_error();
    switch (why) {
      case SSL_ERROR_ZERO_RETURN: return {.n = 0};
      case SSL_ERROR_WANT_READ: return {.needs = POLLIN};
      case SSL_ERROR_WANT_WRITE: return {.needs = POLLOUT};
      case SSL_ERROR_SYSCALL: return {.error = error};
      default: break;
    }
#endif
    return {};
  }

  const int fd_;
  void* const tls_;
  again::duration limit_;
  bool hurried_ = false;
  wire_listener& listener_;
  int writes_ = 0;  // up to two: head, and body or the first part of it; no response could have come to less
  std::optional<bool> complete_;
  std::string_view empty_response_ = "HTTP/1.1 204 No Content\r\n\r\n";
};

/// Tells `watch` that the library is about to close its socket. Under TLS OpenSSL does (tls_peer.hpp).
template <class Base> class closing_hook : public Base {
 public:
  using Base::Base;
  socket_watch* watch = nullptr;
};
/// Without TLS: the library ends the session before it closes the socket. Here there is none, and the call is the hook.
template <> class closing_hook<httplib::ClientImpl> : public httplib::ClientImpl {
 public:
  using ClientImpl::ClientImpl;
  socket_watch* watch = nullptr;

 private:
  void shutdown_ssl(Socket&, bool) override {
    if (watch != nullptr) watch->closing();
  }
};

/// A client of cpp-httplib that connects, reads and writes by ourselves. Set `watch` once and `next` before each send.
template <class Base> class own_wire_client final : public closing_hook<Base> {
 public:
  using closing_hook<Base>::closing_hook;

  struct {
    wire_listener* listener = nullptr;
    again::duration idle_limit{}, connect_limit{};
    std::optional<peer_address> to{};  ///< unset: the library connects by itself
  } next;

 private:
  using socket_type = typename Base::Socket;

  // One of the two `process_socket` is what the library calls, and so are their parameters. clang wants all overriding functions of a
  // class to be marked, or none.
  // NOLINTBEGIN(modernize-use-override,performance-unnecessary-value-param)
  bool create_and_connect_socket(socket_type& socket, httplib::Error& error) {
    limit_of_socket_ = {};  // the new one has none yet
    // SSLClient's own is private, and asks once more what was asked when the client was made.
    if (!next.to)
      return httplib::ClientImpl::create_and_connect_socket(socket, error);  // NOLINT(bugprone-parent-virtual-call)
    const int fd = this->watch->connect(*next.to, next.connect_limit);
    error = fd < 0 ? httplib::Error::Connection : httplib::Error::Success;
    if (fd >= 0) socket.sock = fd;
    return fd >= 0;
  }

  bool process_socket(const socket_type& socket, std::function<bool(httplib::Stream&)> callback) {
    const auto fd = static_cast<int>(socket.sock);
    void* const session = session_of(socket);
    if (limit_of_socket_ != next.idle_limit) {
      const bool fresh = limit_of_socket_ == again::duration{};
      limit_of_socket_ = next.idle_limit;
      // OpenSSL writes without a flag for each call, and a write that blocks could not read.
      if (session != nullptr && fresh) static_cast<void>(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK));
      limit_socket(fd, SO_RCVTIMEO, next.idle_limit);
    }
    wire_stream stream{fd, session, next.idle_limit, *next.listener};
    const bool done = callback(stream);
    if (stream.hurried()) limit_of_socket_ = {};  // the next one sets it anew
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
