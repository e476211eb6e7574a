// SPDX-License-Identifier: MIT
/// \file
/// `wire_stream` and `own_wire_client`: cpp-httplib's clients with our own reading and writing of the socket between them and the wire. The
/// library connects, shakes hands and writes the request; the response is read by us, byte for byte as it was sent, and the
/// library gets an empty one in its place.
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

/// Who reads the response.
class wire_listener {
 public:
  /// Bytes of it. False: no more are wanted.
  virtual bool hear(std::string_view bytes) = 0;
  /// The peer has ended the connection, in order.
  virtual void hear_end() = 0;
  /// Was it a whole response?
  virtual bool satisfied() const = 0;
  /// Bytes written to the socket, or to the TLS session.
  virtual void wrote(std::size_t n) = 0;

 protected:
  ~wire_listener() = default;
};

/// One request and its response on a connected socket, with or without TLS. One system call each to write and to read: the socket's
/// own time limits do the waiting, and poll() where it does not block.
class wire_stream : public httplib::Stream {
 public:
  // NOLINTBEGIN(modernize-use-override): which of these are virtual depends on the version
  wire_stream(int fd, void* tls, again::duration idle_limit, wire_listener& listener) noexcept
      : fd_{fd}, tls_{tls}, limit_{idle_limit}, listener_{listener} {}

  bool is_readable() const { return wait(POLLIN, again::duration::zero()); }
  bool is_writable() const { return wait(POLLOUT, again::duration::zero()); }
  bool wait_readable() const { return wait(POLLIN, limit_); }
  bool wait_writable() const { return wait(POLLOUT, limit_); }

  /// The library's turn to read: hears the whole response first, then says that it was an empty one.
  ssize_t read(char* into, std::size_t n) {
    if (!heard_) heard_ = listen();
    if (!*heard_) return -1;
    const std::size_t part = std::min(n, instead_.size());
    std::memcpy(into, instead_.data(), part);
    instead_.remove_prefix(part);
    return static_cast<ssize_t>(part);
  }
  ssize_t write(const char* from, std::size_t n) {
    std::size_t done = 0;
    while (done < n) {
      const ssize_t sent = send_some({from + done, n - done});
      if (sent <= 0) return -1;
      done += static_cast<std::size_t>(sent);
      listener_.wrote(static_cast<std::size_t>(sent));
    }
    return static_cast<ssize_t>(n);
  }
  using httplib::Stream::write;

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
  bool listen() {
    char buffer[16384];
    for (;;) {
      const ssize_t n = receive_some(buffer);
      if (n < 0) return false;
      if (n == 0) {
        listener_.hear_end();
        return listener_.satisfied();
      }
      if (!listener_.hear({buffer, static_cast<std::size_t>(n)})) return listener_.satisfied();
    }
  }

  /// Repeats `once`, which gives what a system call does and in `needs` what it waits for, until it is done or time is over.
  template <class Once> ssize_t patiently(Once&& once) const {
    const auto begun = steady::now();
    for (;;) {
      short needs = 0;
      const ssize_t n = once(needs);
      if (needs == 0) return n;
      if (!wait(needs, limit_ - (steady::now() - begun))) return -1;
    }
  }
  ssize_t receive_some(std::span<char> into) const {
    return patiently([&](short& needs) -> ssize_t {
      if (tls_ != nullptr) return over_tls(false, into.data(), into.size(), needs);
      const ssize_t n = ::recv(fd_, into.data(), into.size(), 0);
      if (n < 0 && would_block()) needs = POLLIN;
      return n;
    });
  }
  ssize_t send_some(std::string_view from) const {
    return patiently([&](short& needs) -> ssize_t {
      if (tls_ != nullptr) return over_tls(true, const_cast<char*>(from.data()), from.size(), needs);
      const ssize_t n = ::send(fd_, from.data(), from.size(), MSG_NOSIGNAL);
      if (n < 0 && would_block()) needs = POLLOUT;
      return n;
    });
  }
  static bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

  /// 0: the peer has said goodbye; a connection that ends without is an error (RFC 9112 9.8).
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
  const again::duration limit_;
  wire_listener& listener_;
  std::optional<bool> heard_;
  std::string_view instead_ = "HTTP/1.1 204 No Content\r\n\r\n";
};

/// `Base`, reading and writing by ourselves where `next` is set before each send.
template <class Base> class own_wire_client final : public Base {
 public:
  using Base::Base;

  struct {
    wire_listener* listener = nullptr;
    again::duration idle_limit{};
  } next;
  /// Before a send that will open a connection: its socket knows no time limit yet.
  void forget_socket() noexcept { limited_ = {}; }

 private:
  using socket_type = typename Base::Socket;

  // One of the two is what the library calls, and so are their parameters.
  // NOLINTBEGIN(modernize-use-override,performance-unnecessary-value-param)
  bool process_socket(const socket_type& socket, std::function<bool(httplib::Stream&)> callback) {
    const auto fd = static_cast<int>(socket.sock);
    if (limited_ != next.idle_limit) {
      limited_ = next.idle_limit;
      const auto us = std::chrono::ceil<std::chrono::microseconds>(next.idle_limit).count();
      ::timeval limit{};
      limit.tv_sec = static_cast<decltype(limit.tv_sec)>(us / 1'000'000);
      limit.tv_usec = static_cast<decltype(limit.tv_usec)>(us % 1'000'000);
      static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
      static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
    }
    wire_stream stream{fd, session_of(socket), next.idle_limit, *next.listener};
    return callback(stream);
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

  again::duration limited_{};
};

/// `own_wire_client` where the library lets us derive: always without TLS, and with TLS before 0.16.
template <class Base> struct wired_if_possible {
  using type = own_wire_client<Base>;
};
template <class Base>
  requires std::is_final_v<Base>
struct wired_if_possible<Base> {
  using type = Base;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
