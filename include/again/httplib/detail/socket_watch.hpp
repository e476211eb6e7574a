// SPDX-License-Identifier: MIT
/// \file
/// `socket_watch`: opens the socket of the library's connection, knows what has happened to it, and shuts it down from another
/// thread.
#pragma once

#include <again/core/clock.hpp>
#include <again/net/detail/peer_address.hpp>
#include <again/net/detail/tcp_state.hpp>
#include <again/policy/verdict.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// One descriptor for each connection. The library owns it and closes it; this class knows it from `connect` to `closing` and
/// shuts it down under its lock, so that no other file that got the same number is ever hit. What the kernel counted is read in
/// `closing`, before it is lost. It admits one socket per attempt: a second one is where a library sends again without being told to.
///
/// Under TLS the library can close the socket between its connection and the beginning of the handshake without a word. In between
/// the descriptor is not known here, and what was to interrupt it does so at that beginning.
///
/// Where the library has to connect by itself (TLS where we cannot derive from its class, or in a proxy's tunnel), `opened` takes a
/// second descriptor until the handshake begins.
///
/// Threads: `interrupt` any; the rest the thread that sends. The mutex is a leaf: the hooks run under the library's own locks, so
/// nothing of the library is ever called while it is held.
class socket_watch {
 public:
  /// `dead_fd`: a descriptor that is no socket, and stays open.
  socket_watch(bool tls, int dead_fd) noexcept : tls_{tls}, dead_fd_{dead_fd} {}
  socket_watch(const socket_watch&) = delete;
  socket_watch& operator=(const socket_watch&) = delete;
  ~socket_watch() { forget(); }

  /// What an attempt looks like afterwards.
  struct report {
    reach how_far = reach::not_sent;
    int connect_error = 0;        ///< errno: why there is no connection; 0: there is, or nobody knows
    bool second_refused = false;  ///< the library tried to send again
    bool timed = false;           ///< FIN and RST cannot be seen here: only the clock tells
    bool reset = false;
    bool peer_closed = false;
    bool close_notify = true;  ///< under TLS: the peer has said that this was all
    bool received = false;     ///< something came, which under TLS may be no more than a record of the session
    std::uint32_t quiet_ms = 0;
  };

  /// An attempt begins, on the connection that is open, or on none.
  void begin(bool reused) noexcept {
    const std::lock_guard lock{mutex_};
    if (!reused) forget();
    // What we have counted ourselves, where we did: no other thread has written or read, and `silent` has found nothing more.
    if (!reused || !counted_) {
      base_ = state();
    } else {
      base_.queued += written_;
      base_.received += read_;
    }
    counted_ = false;
    reused_ = reused;
    secured_ = reused && tls_;
    sockets_ = connect_error_ = 0;
    second_refused_ = interrupted_ = eof_ = close_notify_ = reset_ = false;
  }

  /// Opens a socket and connects it. -1: it could not, and the report says why.
  int connect(const peer_address& to, duration at_most) noexcept {
    const int fd = start_connecting(to);
    if (fd < 0) return -1;
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(at_most).count();
    ::pollfd p{fd, POLLOUT, 0};
    int ready = 0;
    do ready = ::poll(&p, 1, static_cast<int>(ms));
    while (ready < 0 && errno == EINTR);
    int error = ready == 0 ? ETIMEDOUT : 0;
    ::socklen_t size = sizeof error;
    if (ready != 0 && ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    const std::lock_guard lock{mutex_};
    if (error == 0 && interrupted_) error = ECANCELED;
    if (error != 0) return failed_to_connect(error, fd);
    static_cast<void>(::fcntl(fd, F_SETFL, 0));  // it blocks from now on
    if (tls_) fd_ = -1;                          // until `handshake_begins`
    return fd;
  }

  /// The library's hook where it connects by itself: `fd` is new and not connected. Refuses by putting the dead descriptor in its
  /// place, so that connect fails at once.
  void opened(int fd) noexcept {
    const std::lock_guard lock{mutex_};
    if (!admits()) return refuse(fd);
    forget();
    fd_ = ::fcntl(fd, F_DUPFD_CLOEXEC, 1024);  // high, where programs that still use select() do not look
    if (fd_ < 0) fd_ = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd_ < 0) {  // without it what it does could not be stopped, nor known afterwards
      connect_error_ = errno;
      return refuse(fd);
    }
    ours_ = true;
    is_new();
  }
  /// TLS: the library is about to shake hands on this socket, and will say when it closes it.
  void handshake_begins(int fd) noexcept {
    const std::lock_guard lock{mutex_};
    forget();
    fd_ = fd;
    if (interrupted_) ::shutdown(fd_, SHUT_RDWR);
  }
  /// The library is about to close its socket.
  void closing() noexcept {
    const std::lock_guard lock{mutex_};
    if (!ours_) forget();
  }

  /// The attempt has gone well, having written and read so much on a plain connection.
  void moved(std::uint64_t written, std::uint64_t read) noexcept {
    const std::lock_guard lock{mutex_};
    counted_ = !tls_;
    written_ = written;
    read_ = read;
  }

  /// TLS: the first handshake of this socket has finished; what is queued from now on is a request.
  void secured() noexcept {
    const std::lock_guard lock{mutex_};
    if (std::exchange(secured_, true)) return;
    base_ = state();
  }
  /// TLS: how the stream ended, the first time it did: by the peer's FIN, or by an error of the socket.
  void ended(bool in_order) noexcept {
    const std::lock_guard lock{mutex_};
    if (eof_ || reset_) return;
    (in_order ? eof_ : reset_) = true;
  }

  /// TLS: the peer's close_notify has come.
  void close_notified() noexcept {
    const std::lock_guard lock{mutex_};
    close_notify_ = true;
    if (!reset_) eof_ = true;
  }

  /// Ends whatever blocks on the socket, now and later in this attempt. Any thread; microseconds.
  reach interrupt() noexcept {
    const std::lock_guard lock{mutex_};
    interrupted_ = true;
    if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);  // before looking: nothing more can be queued then
    return how_far(state());
  }

  /// Shuts the socket down from inside one of the library's callbacks. A callback that merely fails makes the library wait for
  /// the peer first.
  void shut_down() noexcept {
    const std::lock_guard lock{mutex_};
    if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);
  }

  /// The TLS handshake of this socket has finished.
  bool is_secured() noexcept {
    const std::lock_guard lock{mutex_};
    return secured_;
  }

  /// After the library has returned without success.
  report examine() noexcept {
    const std::lock_guard lock{mutex_};
    const tcp_state now = state();
    report r;
    r.how_far = how_far(now);
    r.connect_error = connect_error_;
    if (sockets_ == 0 && !reused_ && r.connect_error == 0) r.connect_error = why_no_socket();
    r.second_refused = second_refused_;
    r.timed = !now.known;
    r.reset = tls_ && secured_ ? reset_ : now.reset;  // under TLS our own close_notify may have met a RST in the end
    r.peer_closed = tls_ && secured_ ? eof_ || now.peer_closed : now.peer_closed;
    r.close_notify = !tls_ || close_notify_;
    r.received = now.received > base_.received + (now.peer_closed ? 1U : 0U);
    r.quiet_ms = now.quiet_ms;
    return r;
  }

  /// Is an idle connection still as we left it? What there is to read on it is the end, or a response to no request of ours.
  bool silent() noexcept {
    const std::lock_guard lock{mutex_};
    if (fd_ < 0) return false;
    ::pollfd p{fd_, POLLIN | POLLRDHUP, 0};
    return ::poll(&p, 1, 0) == 0;
  }

  /// The library has closed its socket: a second descriptor of ours goes, too.
  void release() noexcept {
    const std::lock_guard lock{mutex_};
    forget();
  }

 private:
  // All under the lock.

  /// May the attempt open a socket?
  bool admits() noexcept {
    const bool sent_before = reused_ && how_far(state()) != reach::not_sent;
    const bool admitted = !interrupted_ && sockets_ == 0 && !sent_before;
    if (!admitted && !interrupted_) second_refused_ = true;
    return admitted;
  }
  int start_connecting(const peer_address& to) noexcept {
    const std::lock_guard lock{mutex_};
    if (!admits()) return -1;
    forget();
    const int fd = ::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
      connect_error_ = errno;
      return -1;
    }
    fd_ = fd;
    is_new();
    const int yes = 1;  // head and body are two writes: 40 ms each without it
    if (to.family() != AF_UNIX) static_cast<void>(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
    // Under the lock: an interruption between the opening of a socket and its connect() would be lost on the kernel.
    if (::connect(fd, to.get(), to.size) == 0 || errno == EINPROGRESS) return fd;
    int error = errno;
    if (error == EAGAIN && to.family() != AF_UNIX) error = EADDRNOTAVAIL;
    // On a machine without IPv6 this is all that the kernel says of an IPv6 address.
    if (error == EADDRNOTAVAIL && to.family() == AF_INET6) error = ENETUNREACH;
    return failed_to_connect(error, fd);
  }
  int failed_to_connect(int error, int fd) noexcept {
    connect_error_ = error;
    forget();
    ::close(fd);
    return -1;
  }
  void is_new() noexcept {
    last_ = {};
    base_ = ours_ ? state() : tcp_state{};
    reused_ = secured_ = eof_ = close_notify_ = reset_ = false;
    sockets_ = 1;
  }

  tcp_state state() const noexcept { return fd_ >= 0 ? tcp_state_of(fd_) : last_; }
  reach how_far(const tcp_state& now) const noexcept {
    if (sockets_ == 0 && !reused_) return reach::not_sent;
    if (tls_ && !secured_) return reach::not_sent;
    if (!now.known) return reach::maybe_sent;
    if (now.queued <= base_.queued) return reach::not_sent;
    const bool answered = !tls_ && now.received > base_.received + (now.peer_closed ? 1U : 0U);
    return answered ? reach::answered : reach::maybe_sent;
  }
  /// Where the library has opened none, and does not say why.
  static int why_no_socket() noexcept {
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return errno;
    ::close(probe);
    return 0;
  }
  void refuse(int fd) const noexcept {
    if (dead_fd_ < 0 || ::dup3(dead_fd_, fd, O_CLOEXEC) < 0) ::shutdown(fd, SHUT_RDWR);
  }
  /// From now on the number may be another file's.
  void forget() noexcept {
    if (fd_ < 0) return;
    last_ = tcp_state_of(fd_);
    if (std::exchange(ours_, false)) ::close(fd_);
    fd_ = -1;
  }

  std::mutex mutex_;
  const bool tls_;
  const int dead_fd_;
  int fd_ = -1;
  bool ours_ = false;                     // a second descriptor
  tcp_state last_;                        // of the socket that is closed now
  tcp_state base_;                        // at the beginning of the attempt
  std::uint64_t written_ = 0, read_ = 0;  // in the attempt before, if counted_
  bool counted_ = false;
  int sockets_ = 0, connect_error_ = 0;
  bool reused_ = false, secured_ = false, interrupted_ = false, second_refused_ = false, eof_ = false,
       close_notify_ = false, reset_ = false;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
