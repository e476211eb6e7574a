// SPDX-License-Identifier: MIT
/// \file
/// `socket_watch`: what we know of the socket inside the library's connection, and how it is shut down from another thread.
#pragma once

#include <again/httplib/detail/tcp_state.hpp>
#include <again/policy/verdict.hpp>

#include <cstdint>
#include <mutex>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Owns a duplicate of the socket's descriptor, taken in the library's hook for new sockets. The duplicate survives the library's
/// own close, so it tells afterwards which bytes left and came, and `shutdown` on it ends any blocking call on the original from
/// any thread. It admits one socket per attempt: a second one is where a library sends again without being told to.
///
/// Threads: `interrupt` any; the rest the thread that sends. The mutex is a leaf: the hook runs under the library's own locks, so
/// nothing of the library is ever called while it is held.
class socket_watch {
 public:
  /// `dead_fd`: a descriptor that is no socket, and stays open.
  socket_watch(bool tls, int dead_fd) noexcept : tls_{tls}, dead_fd_{dead_fd} {}
  socket_watch(const socket_watch&) = delete;
  socket_watch& operator=(const socket_watch&) = delete;
  ~socket_watch() { close_duplicate(); }

  /// What an attempt looks like afterwards.
  struct report {
    reach how_far = reach::not_sent;
    int sockets = 0;              ///< opened in this attempt, a refused one not counted
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
    if (!reused) close_duplicate();
    // What we have counted ourselves, where we did: no other thread has written or read, and `silent` has found nothing more.
    if (!reused || !counted_) {
      base_ = tcp_state_of(duplicate_);
    } else {
      base_.queued += written_;
      base_.received += read_;
    }
    counted_ = false;
    reused_ = reused;
    secured_ = reused && tls_;
    sockets_ = 0;
    second_refused_ = interrupted_ = eof_ = close_notify_ = reset_ = false;
  }

  /// The library's hook: `fd` is new and not connected. Refuses by putting the dead descriptor in its place, so that connect fails
  /// at once.
  void opened(int fd) noexcept {
    const std::lock_guard lock{mutex_};
    const bool sent_before = reused_ && how_far() != reach::not_sent;
    if (interrupted_ || sockets_ > 0 || sent_before) {
      second_refused_ = second_refused_ || !interrupted_;
      return refuse(fd);
    }
    close_duplicate();
    duplicate_ = ::fcntl(fd, F_DUPFD_CLOEXEC, 1024);  // high, where programs that still use select() do not look
    if (duplicate_ < 0) duplicate_ = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (duplicate_ < 0) return refuse(fd);  // without it what it does could not be stopped, nor known afterwards
    base_ = tcp_state_of(duplicate_);
    reused_ = secured_ = eof_ = close_notify_ = reset_ = false;
    sockets_ = 1;
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
    base_ = tcp_state_of(duplicate_);
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
    if (duplicate_ >= 0) ::shutdown(duplicate_, SHUT_RDWR);  // before looking: nothing more can be queued then
    return how_far();
  }

  /// Shuts the socket down from inside one of the library's callbacks. A callback that merely fails makes the library wait for
  /// the peer first.
  void shut_down() noexcept {
    const std::lock_guard lock{mutex_};
    if (duplicate_ >= 0) ::shutdown(duplicate_, SHUT_RDWR);
  }

  /// The TLS handshake of this socket has finished.
  bool is_secured() noexcept {
    const std::lock_guard lock{mutex_};
    return secured_;
  }

  /// After the library has returned without success.
  report examine() noexcept {
    const std::lock_guard lock{mutex_};
    const tcp_state now = tcp_state_of(duplicate_);
    report r;
    r.how_far = how_far(now);
    r.sockets = sockets_;
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
    if (duplicate_ < 0) return false;
    ::pollfd p{duplicate_, POLLIN | POLLRDHUP, 0};
    return ::poll(&p, 1, 0) == 0;
  }

  /// The library has closed its socket: close ours, so that the connection really ends.
  void release() noexcept {
    const std::lock_guard lock{mutex_};
    close_duplicate();
  }

 private:
  reach how_far() const noexcept { return how_far(tcp_state_of(duplicate_)); }
  reach how_far(const tcp_state& now) const noexcept {
    if (sockets_ == 0 && !reused_) return reach::not_sent;
    if (tls_ && !secured_) return reach::not_sent;
    if (!now.known) return reach::maybe_sent;
    if (now.queued <= base_.queued) return reach::not_sent;
    const bool answered = !tls_ && now.received > base_.received + (now.peer_closed ? 1U : 0U);
    return answered ? reach::answered : reach::maybe_sent;
  }
  void refuse(int fd) const noexcept {
    if (dead_fd_ < 0 || ::dup3(dead_fd_, fd, O_CLOEXEC) < 0) ::shutdown(fd, SHUT_RDWR);
  }
  void close_duplicate() noexcept {
    if (duplicate_ >= 0) ::close(std::exchange(duplicate_, -1));
  }

  std::mutex mutex_;
  const bool tls_;
  const int dead_fd_;
  int duplicate_ = -1;
  tcp_state base_;                        // at the beginning of the attempt
  std::uint64_t written_ = 0, read_ = 0;  // in the attempt before, if counted_
  bool counted_ = false;
  int sockets_ = 0;
  bool reused_ = false, secured_ = false, interrupted_ = false, second_refused_ = false, eof_ = false,
       close_notify_ = false, reset_ = false;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
