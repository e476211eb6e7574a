// SPDX-License-Identifier: MIT
/// \file
/// `connection`: one socket on the loop, with or without TLS. It never blocks: a call says what it has come to, and `want_read` and
/// `want_write` say when to try again.
#pragma once

#include <again/asio/detail/executor_scheduler.hpp>
#include <again/beast/detail/library.hpp>
#include <again/beast/detail/tls_session.hpp>
#include <again/core/clock.hpp>
#include <again/core/detail/intrusive_list.hpp>
#include <again/net/detail/peer_address.hpp>

#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

using asio::detail::executor_scheduler;

/// Who uses a connection now. Called in a turn of the loop's scheduler.
class connection_user {
 public:
  virtual void connected(class connection& c, int error) noexcept = 0;  ///< error: errno; 0: it is
  virtual void ready(class connection& c) noexcept = 0;                 ///< to be read or written again

 protected:
  ~connection_user() = default;
};

/// All connections that there are, each in the list for as long as it lives. Any thread.
class open_connections {
 public:
  void add(class connection& c) noexcept;
  void remove(connection& c) noexcept;
  /// The loop is gone, and with it what its handlers have brought: nobody else will let go of that. No other thread uses it.
  void abandon() noexcept;

 private:
  std::mutex mutex_;
  again::detail::intrusive_list<connection> all_;
};

/// Shared by whoever uses it and by the handlers of Asio that wait for it: one that is closed is gone when the last of these has
/// run. All members are for the turns of the scheduler; a handler takes one, or posts what it brings.
class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(std::shared_ptr<void> pool, open_connections& among, executor_scheduler& loop)
      : pool_{std::move(pool)}, among_{among}, loop_{loop}, socket_{loop.executor()} {
    among_.add(*this);
    read_.self = write_.self = this;
    read_.run = [](work& w) noexcept { static_cast<event&>(w).arrive(&connection::on_read); };
    write_.run = [](work& w) noexcept { static_cast<event&>(w).arrive(&connection::on_write); };
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() { among_.remove(*this); }

  /// Gives it to another user, or to none.
  void belongs_to(connection_user* user) noexcept { user_ = user; }

  // ── its beginning and end ──

  /// Opens a socket and begins to connect it; the user is told. Errno: it could not.
  int connect(const http::detail::peer_address& to, std::string address) {
    address_ = std::move(address);
    opened_at_ = loop_.last_wake();
    error_code ec;
    // What they return is the error code once more.
    // NOLINTBEGIN(bugprone-unused-return-value)
    socket_.open(net::generic::stream_protocol(to.family(), to.family() == AF_UNIX ? 0 : IPPROTO_TCP), ec);
    if (!ec) socket_.non_blocking(true, ec);
    // NOLINTEND(bugprone-unused-return-value)
    if (ec) return ec.value();
    const int yes = 1;  // a head and a body may be two writes: 40 ms each without it
    if (to.family() != AF_UNIX) {
      static_cast<void>(::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
    }
    write_.waits = true;
    socket_.async_connect({to.get(), to.size}, handler{shared_from_this(), write_});
    connecting_ = true;
    return 0;
  }
  /// The socket goes; what waits for it is told nothing more.
  void close() noexcept {
    user_ = nullptr;
    if (tls_) tls_->close_notify();
    tls_.reset();
    error_code ec;
    socket_.close(ec);  // NOLINT(bugprone-unused-return-value)
  }
  bool open() const noexcept { return socket_.is_open(); }
  time_point opened_at() const noexcept { return opened_at_; }
  /// A number; empty: a Unix-domain socket.
  const std::string& address() const noexcept { return address_; }
  time_point idle_since = never;

  // ── TLS ──

  void secure(tls_context& context, const std::string& host, tls_memory& memory) {
    tls_ = std::make_unique<tls_session>(context, socket_.native_handle(), host, memory);
  }
  tls_session* tls() const noexcept { return tls_.get(); }

  // ── reading and writing ──

  /// Writes `head` and then `body`, or a part of them.
  progress write(std::string_view head, std::string_view body) noexcept {
    if (tls_) return tls_->write(head.empty() ? body : head);
    error_code ec;
    const net::const_buffer first(head.data(), head.size()), second(body.data(), body.size());
    std::ptrdiff_t n = 0;
    if (head.empty() || body.empty()) {  // one buffer is a cheaper system call
      n = static_cast<std::ptrdiff_t>(socket_.write_some(head.empty() ? second : first, ec));
    } else {
      n = static_cast<std::ptrdiff_t>(socket_.write_some(std::array{first, second}, ec));
    }
    if (!ec) return {.n = n};
    if (ec == net::error::would_block || ec == net::error::try_again) return {.needs = POLLOUT};
    return {.error = ec.value()};
  }
  /// Reads into `space`, or gives what has come already: `bytes` is empty at the end.
  progress read(std::span<char> space, std::string_view& bytes) noexcept {
    if (tls_) {
      const progress p = tls_->read(space);
      bytes = {space.data(), p.n > 0 ? static_cast<std::size_t>(p.n) : 0};
      return p;
    }
    if (const int failed = std::exchange(read_error_, 0); failed != 0) {
      return failed == at_end ? progress{.n = 0} : progress{.error = failed};
    }
    if (const std::size_t n = std::exchange(filled_, 0); n > 0) {
      bytes = {first_.data(), n};
      return {.n = static_cast<std::ptrdiff_t>(n)};
    }
    error_code ec;
    const std::size_t n = socket_.read_some(net::mutable_buffer(space.data(), space.size()), ec);
    bytes = {space.data(), n};
    if (!ec) return {.n = static_cast<std::ptrdiff_t>(n)};
    if (ec == net::error::would_block || ec == net::error::try_again) return {.needs = POLLIN};
    if (ec == net::error::eof) return {.n = 0};
    return {.error = ec.value()};
  }
  /// The last `read` has left nothing behind: what came was all there was.
  static bool drained(std::string_view bytes) noexcept { return bytes.size() < first_size; }

  void want_read() {
    if (read_.waits) return;
    read_.waits = true;
    if (tls_) {
      socket_.async_wait(net::socket_base::wait_read, handler{shared_from_this(), read_});
    } else {  // the first bytes: the kernel's buffer keeps the rest, so that ten thousand that wait need little memory
      socket_.async_read_some(net::mutable_buffer(first_.data(), first_.size()), handler{shared_from_this(), read_});
    }
  }
  void want_write() {
    if (write_.waits) return;
    write_.waits = true;
    socket_.async_wait(net::socket_base::wait_write, handler{shared_from_this(), write_});
  }
  bool waits_to_read() const noexcept { return read_.waits; }
  bool waits_to_write() const noexcept { return write_.waits; }

  /// Is an idle connection still as we left it? What there is to read on it is the end, or a response to no request of ours.
  bool silent() noexcept {
    if (!open()) return false;
    ::pollfd p{socket_.native_handle(), POLLIN | POLLRDHUP, 0};
    return ::poll(&p, 1, 0) == 0;
  }
  /// Has anything come that was not read?
  bool has_unread() noexcept {
    if (filled_ > 0) return true;
    char byte = 0;
    return open() && ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }

 private:
  friend class open_connections;
  friend class again::detail::intrusive_list<connection>;
  /// What a handler of Asio brings into a turn.
  struct event : work {
    connection* self = nullptr;
    bool waits = false;
    error_code ec;
    std::size_t n = 0;
    std::shared_ptr<connection> keep;  // while it is posted

    void arrive(void (connection::*then)() noexcept) noexcept {
      const std::shared_ptr<connection> kept = std::move(keep);
      waits = false;
      (self->*then)();
    }
  };
  struct handler {
    std::shared_ptr<connection> owner;
    event& what;
    void operator()(const error_code& ec, std::size_t n = 0) {
      what.ec = ec;
      what.n = n;
      what.keep = std::move(owner);
      executor_scheduler& loop = what.keep->loop_;
      const std::shared_ptr<void> alive = what.keep->pool_;  // and with it the scheduler
      if (!loop.run_now([this] { what.run(what); })) loop.post(what);
    }
  };

  void on_read() noexcept {
    filled_ = read_.ec ? 0 : read_.n;
    if (read_.ec) read_error_ = read_.ec == net::error::eof ? at_end : read_.ec.value();
    if (user_ != nullptr) user_->ready(*this);
  }
  void on_write() noexcept {
    if (user_ == nullptr) return;
    if (std::exchange(connecting_, false)) {
      user_->connected(*this, write_.ec.value());
    } else {
      user_->ready(*this);
    }
  }

  static constexpr int at_end = -1;
  static constexpr std::size_t first_size = 2048;

  const std::shared_ptr<void> pool_;
  open_connections& among_;
  connection* next = nullptr;
  connection* previous = nullptr;
  executor_scheduler& loop_;
  net::generic::stream_protocol::socket socket_;
  std::unique_ptr<tls_session> tls_;
  connection_user* user_ = nullptr;
  event read_, write_;
  bool connecting_ = false;
  time_point opened_at_{};
  std::string address_;
  int read_error_ = 0;
  std::size_t filled_ = 0;  // of first_
  std::array<char, first_size> first_;
};

inline void open_connections::add(connection& c) noexcept {
  const std::lock_guard lock{mutex_};
  all_.push(c);
}
inline void open_connections::remove(connection& c) noexcept {
  const std::lock_guard lock{mutex_};
  all_.remove(c);
}
inline void open_connections::abandon() noexcept {
  connection* c = all_.front();
  while (c != nullptr) {
    const std::shared_ptr<connection> kept = c->shared_from_this();
    for (connection::event* const e : {&c->read_, &c->write_}) {
      c->loop_.forget(*e);
      e->keep = nullptr;
    }
    c = again::detail::intrusive_list<connection>::after(*c);  // while it is in the list
  }
}

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
