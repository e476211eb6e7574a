// SPDX-License-Identifier: MIT
// A connection of a client, over TCP or TLS, with a bound on the time of what it does. All of it is for the server's thread.
#pragma once

#include "options.hpp"

#include <again/core/clock.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace programs {

/// Operations give their error, and throw none.
inline constexpr auto as_result = boost::asio::as_tuple(boost::asio::use_awaitable);

/// TCP or TLS: so that what is above is compiled once.
class wire {
 public:
  using socket_type = boost::asio::ip::tcp::socket;
  template <class T> using awaitable = boost::asio::awaitable<T>;

  /// `tls`: null for plain TCP; it outlives the wire.
  static std::unique_ptr<wire> over(socket_type socket, boost::asio::ssl::context* tls);
  wire() = default;
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;
  virtual ~wire() = default;
  /// The handshake.
  virtual awaitable<bool> begin() = 0;
  /// 0: no more comes.
  virtual awaitable<std::size_t> read(boost::asio::mutable_buffer to) = 0;
  virtual awaitable<bool> write(std::string_view text) = 0;
  virtual socket_type& socket() noexcept = 0;
};

namespace detail {

template <class Stream> class wire_over final : public wire {
 public:
  template <class... Args> explicit wire_over(Args&&... args) : stream_{std::forward<Args>(args)...} {}
  awaitable<bool> begin() override {
    if constexpr (!std::is_same_v<Stream, socket_type>) {
      const auto [problem] = co_await stream_.async_handshake(boost::asio::ssl::stream_base::server, as_result);
      co_return !problem;
    }
    co_return true;
  }
  awaitable<std::size_t> read(boost::asio::mutable_buffer to) override {
    const auto [problem, n] = co_await stream_.async_read_some(to, as_result);
    co_return problem ? 0 : n;
  }
  awaitable<bool> write(std::string_view text) override {
    const auto [problem, n] =
        co_await boost::asio::async_write(stream_, boost::asio::buffer(text.data(), text.size()), as_result);
    co_return !problem && n == text.size();
  }
  socket_type& socket() noexcept override {
    if constexpr (std::is_same_v<Stream, socket_type>)
      return stream_;
    else
      return stream_.next_layer();
  }

 private:
  Stream stream_;
};

}  // namespace detail

inline std::unique_ptr<wire> wire::over(socket_type socket, boost::asio::ssl::context* tls) {
  if (tls == nullptr) return std::make_unique<detail::wire_over<socket_type>>(std::move(socket));
  return std::make_unique<detail::wire_over<boost::asio::ssl::stream<socket_type>>>(std::move(socket), *tls);
}

/// What a client and we say to each other, and until when. Shared by its coroutine and its timer.
class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(boost::asio::io_context& io, std::unique_ptr<wire> w) : wire_{std::move(w)}, timer_{io} {}
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() = default;

  wire& to() noexcept { return *wire_; }
  /// So much time from now on, for all that follows; then what waits ends, and `late` is true.
  void allow(again::duration span) {
    late_ = false;
    ++span_;  // the end of an earlier one may be on its way
    if (span == again::forever) {
      timer_.cancel();
      return;
    }
    timer_.expires_after(span);
    timer_.async_wait([c = weak_from_this(), number = span_](const boost::system::error_code& problem) {
      const auto self = c.lock();
      if (problem || self == nullptr || self->span_ != number) return;
      self->late_ = true;
      self->cancel();
    });
  }
  bool late() const noexcept { return late_; }
  /// Its buffer is full of something that no parser takes.
  bool crowded() const noexcept { return unread.size() + part > most_unread; }
  /// Reads more into `unread`. False: there is none, or no time.
  boost::asio::awaitable<bool> fill() {
    if (late_ || crowded()) co_return false;
    const std::size_t n = co_await wire_->read(unread.prepare(part));
    unread.commit(n);
    co_return n > 0;
  }
  /// Ends what waits.
  void cancel() noexcept {
    boost::system::error_code ignored;
    static_cast<void>(wire_->socket().cancel(ignored));
  }
  /// No more is written.
  void finish() noexcept {
    boost::system::error_code ignored;
    static_cast<void>(wire_->socket().shutdown(wire::socket_type::shutdown_send, ignored));
  }
  void close() noexcept {
    timer_.cancel();
    boost::system::error_code ignored;
    static_cast<void>(wire_->socket().close(ignored));
  }

  boost::beast::flat_buffer unread;
  bool busy = false;  ///< a request is being stored, and will have its response

 private:
  static constexpr std::size_t part = 8192, most_unread = std::size_t{64} << 10U;
  std::unique_ptr<wire> wire_;
  boost::asio::steady_timer timer_;
  std::uint64_t span_ = 0;  // their number
  bool late_ = false;
};

/// Bytes that a request takes of all that there are, as long as it lives.
class reservation {
 public:
  explicit reservation(std::size_t& all) noexcept : all_{all} {}
  reservation(const reservation&) = delete;
  reservation& operator=(const reservation&) = delete;
  ~reservation() { all_ -= taken_; }
  bool take(std::size_t bytes, std::size_t most) noexcept {
    if (bytes > most || all_ > most - bytes) return false;
    all_ += bytes;
    taken_ += bytes;
    return true;
  }

 private:
  std::size_t& all_;
  std::size_t taken_ = 0;
};

/// Throws usage_error where the files are no certificate with its key.
inline boost::asio::ssl::context server_tls(const std::string& certificate, const std::string& key) {
  namespace ssl = boost::asio::ssl;
  ssl::context tls{ssl::context::tls_server};
  boost::system::error_code problem;
  tls.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1 |
                  ssl::context::no_compression);
  static_cast<void>(tls.use_certificate_chain_file(certificate, problem));
  if (problem) throw usage_error{fmt::format("--listen-cert: {}: {}", certificate, problem.message())};
  static_cast<void>(tls.use_private_key_file(key, ssl::context::pem, problem));
  if (problem) throw usage_error{fmt::format("--listen-key: {}: {}", key, problem.message())};
  return tls;
}

}  // namespace programs
