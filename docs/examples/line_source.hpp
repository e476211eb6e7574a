// SPDX-License-Identifier: MIT
// Lines of a file or pipe for coroutines. A separate thread reads a bounded number of lines ahead; their length is bounded too.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/run_loop.hpp>
#include <again/coro/task.hpp>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace programs {

struct input_line {
  std::size_t number = 0;
  std::string text{};
  bool too_long = false;  ///< longer than the bound; the text is dropped
  bool cut_off = false;   ///< `close` came before its end; the text is dropped
};

/// `co_await source.next()` gives the next line, or nothing at the end. Any number of coroutines of one loop may wait at a time.
/// The source neither opens nor closes the descriptor. Every line of which a byte was read is handed out.
class line_source {
 public:
  line_source(again::run_loop& loop, int fd, std::size_t longest)
      : loop_{loop}, fd_{fd}, longest_{longest}, wake_{::eventfd(0, EFD_CLOEXEC)} {
    arrived_.run = [](again::work& w) noexcept { static_cast<arrival&>(w).owner->hand_out(); };
    arrived_.owner = this;
    if (wake_ < 0) throw std::system_error{errno, std::generic_category(), "eventfd"};
  }
  line_source(const line_source&) = delete;
  line_source& operator=(const line_source&) = delete;
  ~line_source() {
    close();
    if (reader_.joinable()) reader_.join();
    loop_.forget(arrived_);
    ::close(wake_);
  }

  /// Starts the reading thread. Call it once, when nothing else can fail before the lines are taken.
  void start() {
    reader_ = std::thread{[this] { read(); }};
  }

  class [[nodiscard]] next_line {
   public:
    using result_type = std::optional<input_line>;
    explicit next_line(line_source& s) noexcept : source_{s} {}
    next_line(const next_line&) = delete;
    next_line& operator=(const next_line&) = delete;
    ~next_line() {
      if (waiting_) source_.forget(*this);
    }
    auto operator co_await() && noexcept { return again::detail::startable_awaiter<next_line>{*this}; }

    bool start(again::continuation k, const again::context&) noexcept {
      k_ = k;
      return source_.take_or_wait(*this);
    }
    result_type take() { return std::move(line_); }
    static std::exception_ptr exception() noexcept { return nullptr; }

   private:
    friend class line_source;
    line_source& source_;
    again::continuation k_;
    bool waiting_ = false;
    result_type line_;
  };
  /// For the loop's thread.
  next_line next() noexcept { return next_line{*this}; }

  /// Stops reading; lines that were read are still handed out. Any thread may call it.
  void close() noexcept {
    closed_.store(true);
    { const std::lock_guard lock{mutex_}; }
    room_.notify_one();
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
  }
  /// True after `close`.
  bool closed() const noexcept { return closed_.load(); }
  std::uint64_t bytes_read() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  /// Why reading ended before the end of the input, or empty.
  std::string problem() const {
    const std::lock_guard lock{mutex_};
    return problem_;
  }

 private:
  static constexpr std::size_t ahead = 256;  // lines read before they are asked for
  static constexpr std::size_t ahead_bytes = std::size_t{4}
                                             << 20U;  // and their bytes, except that one line always fits
  struct arrival : again::work {
    line_source* owner = nullptr;
  };

  // ── the reader's thread ──
  void read() {
    std::string line;
    std::size_t number = 0;
    bool too_long = false;
    std::string part(std::size_t{64} * 1024, '\0');
    for (;;) {
      pollfd both[2] = {{fd_, POLLIN, 0}, {wake_, POLLIN, 0}};
      if (::poll(both, 2, -1) < 0 && errno != EINTR) return end(std::strerror(errno));
      if (closed_) {
        if (!line.empty() || too_long) give({.number = ++number, .cut_off = true});
        return end("");
      }
      if (both[0].revents == 0) continue;
      const ssize_t n = ::read(fd_, part.data(), part.size());
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (n < 0) return end(std::strerror(errno));
      if (n == 0) {
        if (!line.empty() || too_long) give({.number = ++number, .text = std::move(line), .too_long = too_long});
        return end("");
      }
      bytes_.fetch_add(static_cast<std::uint64_t>(n), std::memory_order_relaxed);
      for (std::string_view block{part.data(), static_cast<std::size_t>(n)}; !block.empty();) {
        const std::size_t newline = block.find('\n');
        const std::string_view piece = block.substr(0, newline);
        too_long = too_long || line.size() + piece.size() > longest_;
        if (too_long)
          line.clear();
        else
          line.append(piece);
        if (newline == std::string_view::npos) break;
        block.remove_prefix(newline + 1);
        if (!line.empty() && line.back() == '\r') line.pop_back();
        ++number;
        if (!line.empty() || too_long) give({.number = number, .text = std::move(line), .too_long = too_long});
        line.clear();
        too_long = false;
      }
    }
  }
  // Waits for room. After `close` it does not wait: bytes that were read are no longer in the pipe, so their lines must be handed out.
  // They are at most the remainder of one block.
  void give(input_line&& line) {
    std::unique_lock lock{mutex_};
    room_.wait(lock, [&] {
      return closed_ || lines_.empty() || (lines_.size() < ahead && lines_bytes_ + line.text.size() <= ahead_bytes);
    });
    lines_bytes_ += line.text.size();
    lines_.push_back(std::move(line));
    announce();
  }
  void end(const char* problem) {
    const std::lock_guard lock{mutex_};
    ended_ = true;
    problem_ = problem;
    announce();
  }
  void announce() {  // under the mutex
    if (waiting_.empty() || announced_) return;
    announced_ = true;
    loop_.post(arrived_);
  }

  // ── the loop's thread ──
  bool take_or_wait(next_line& one) {
    const std::lock_guard lock{mutex_};
    if (!lines_.empty()) {
      pop_to(one);
      return true;
    }
    if (ended_) return true;
    one.waiting_ = true;
    waiting_.push_back(&one);
    loop_.work_started();  // pretend time does not jump while input may come
    return false;
  }
  void pop_to(next_line& one) {  // under the mutex
    lines_bytes_ -= lines_.front().text.size();
    one.line_ = std::move(lines_.front());
    lines_.pop_front();
    room_.notify_one();
  }
  void hand_out() noexcept {
    std::unique_lock lock{mutex_};
    announced_ = false;
    while (!waiting_.empty() && (!lines_.empty() || ended_)) {
      next_line& one = *waiting_.front();
      waiting_.pop_front();
      one.waiting_ = false;
      if (!lines_.empty()) pop_to(one);
      loop_.work_finished();
      lock.unlock();
      one.k_();
      lock.lock();
    }
  }
  void forget(next_line& one) noexcept {
    const std::lock_guard lock{mutex_};
    std::erase(waiting_, &one);
    loop_.work_finished();
  }

  again::run_loop& loop_;
  const int fd_;
  const std::size_t longest_;
  const int wake_;
  std::atomic<bool> closed_{false};
  std::atomic<std::uint64_t> bytes_{0};
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable room_;
  std::deque<input_line> lines_;
  std::size_t lines_bytes_ = 0;
  std::deque<next_line*> waiting_;
  bool ended_ = false;
  bool announced_ = false;
  std::string problem_;
  arrival arrived_;
  std::thread reader_;
};

}  // namespace programs
