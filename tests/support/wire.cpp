// SPDX-License-Identifier: MIT
#include "wire.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace again_test {
namespace {

/// poll's timeout, rounded up so that a wait is never short; -1 without a limit.
int milliseconds_until(wire::limit until) {
  if (!until) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - wire::clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 1'000'000));
}

}  // namespace

wire::~wire() {
  if (ssl_) SSL_free(ssl_);
}

wire::outcome wire::wait(short events, limit until) {
  for (;;) {
    std::array<pollfd, 2> fds{{{fd_, events, 0}, {stop_fd_, POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), milliseconds_until(until));
    if (ready < 0 && errno != EINTR) return outcome::failed;
    if (fds[1].revents != 0) return outcome::stopped;
    if (ready > 0) return outcome::done;
    if (until && clock::now() >= *until) return outcome::timed_out;
  }
}

wire::outcome wire::after_tls(int result, limit until) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ: return wait(POLLIN, until);
    case SSL_ERROR_WANT_WRITE: return wait(POLLOUT, until);
    case SSL_ERROR_ZERO_RETURN: return outcome::ended;
    default: return outcome::failed;
  }
}

wire::outcome wire::handshake(SSL_CTX* context) {
  ssl_ = SSL_new(context);
  if (!ssl_ || SSL_set_fd(ssl_, fd_) != 1) return outcome::failed;
  for (;;) {
    ERR_clear_error();
    const int result = SSL_accept(ssl_);
    if (result == 1) return outcome::done;
    if (const auto next = after_tls(result, {}); next != outcome::done) return next;
  }
}

std::string wire::server_name() const {
  const char* const name = ssl_ ? SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name) : nullptr;
  return name ? name : "";
}

bool wire::resumed() const { return ssl_ && SSL_session_reused(ssl_) == 1; }

wire::outcome wire::read(std::string& into, limit until) {
  std::array<char, 16'384> piece;
  for (;;) {
    if (ssl_) {
      ERR_clear_error();
      const int got = SSL_read(ssl_, piece.data(), static_cast<int>(piece.size()));
      if (got > 0) {
        into.append(piece.data(), static_cast<std::size_t>(got));
        return outcome::done;
      }
      if (const auto next = after_tls(got, until); next != outcome::done) return next;
      continue;
    }
    const auto got = ::recv(fd_, piece.data(), piece.size(), 0);
    if (got > 0) {
      into.append(piece.data(), static_cast<std::size_t>(got));
      return outcome::done;
    }
    if (got == 0) return outcome::ended;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return outcome::failed;
    if (const auto next = wait(POLLIN, until); next != outcome::done) return next;
  }
}

wire::outcome wire::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t size = single_ ? 1 : std::min<std::size_t>(bytes.size(), 1 << 20);
    std::size_t sent = 0;
    if (ssl_) {
      ERR_clear_error();
      const int result = SSL_write(ssl_, bytes.data(), static_cast<int>(size));
      if (result > 0) {
        sent = static_cast<std::size_t>(result);
      } else if (const auto next = after_tls(result, {}); next != outcome::done) {
        return next;
      }
    } else {
      const auto result = ::send(fd_, bytes.data(), size, MSG_NOSIGNAL);
      if (result >= 0) {
        sent = static_cast<std::size_t>(result);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (const auto next = wait(POLLOUT, {}); next != outcome::done) return next;
      } else if (errno != EINTR) {
        return outcome::failed;
      }
    }
    bytes.remove_prefix(sent);
    if (single_ && sent > 0 && interval_.count() > 0 && !bytes.empty()) {
      if (const auto next = silence(interval_); next != outcome::timed_out) return next;
    }
  }
  return outcome::done;
}

wire::outcome wire::silence(std::chrono::milliseconds time) {
  const auto next = wait(POLLRDHUP, time.count() > 0 ? limit{clock::now() + time} : limit{});
  return next == outcome::done ? outcome::ended : next;
}

void wire::end_writing(bool close_notify) noexcept {
  if (ssl_ && close_notify && SSL_is_init_finished(ssl_)) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
  }
  ::shutdown(fd_, SHUT_WR);
}

void wire::drain(std::chrono::milliseconds at_most) {
  const auto until = clock::now() + at_most;
  std::array<char, 65'536> piece;
  for (;;) {
    const auto got = ::recv(fd_, piece.data(), piece.size(), 0);
    if (got == 0) return;
    if (got < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) return;
    if (got < 0 && wait(POLLIN, until) != outcome::done) return;
  }
}

void wire::reset_on_close() noexcept {
  const linger at_once{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void wire::shrink_window() noexcept {
  const int small = 4096;
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
}

}  // namespace again_test
