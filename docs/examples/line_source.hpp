// SPDX-License-Identifier: MIT
// Lines of a file or pipe for coroutines. A separate thread reads a bounded number of lines ahead; their length is bounded too.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/scheduler.hpp>
#include <again/coro/task.hpp>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace programs {

/// Why a line comes without its text.
enum class line_problem : std::uint8_t {
  none,
  too_long,   ///< longer than the bound
  cut_off,    ///< reading ended before its end
  no_memory,  ///< there was no memory for it
};

struct input_line {
  std::size_t number = 0;    ///< from 1
  std::uint64_t offset = 0;  ///< of its first byte in the input
  std::uint64_t bytes = 0;   ///< its length with its end, and with the blank lines before it
  std::string text{};
  line_problem problem = line_problem::none;
};

/// `co_await source.next()` gives the next line, or nothing at the end. Any number of coroutines of one loop may wait at a time.
/// The source neither opens nor closes the descriptor. Every line of which a byte was read is handed out.
///
/// Threads: the reading thread alone reads the descriptor and builds lines; `next` belongs to the loop's thread; lines pass from the one
/// to the other in a ring under the mutex. The ring is as long as the lines that are read ahead, so that no memory is needed to pass one.
class line_source {
 public:
  struct options {
    std::uint64_t begin = 0;        ///< the offset at which the descriptor stands
    bool is_file = false;           ///< a regular file: what is read of it is not taken from anybody else
    std::size_t longest = 1 << 20;  ///< bytes of a line
  };
  line_source(again::scheduler& loop, int fd, const options& o)
      : loop_{loop},
        fd_{fd},
        options_{o},
        wake_{::eventfd(0, EFD_CLOEXEC)},
        block_(o.is_file ? file_block : pipe_block) {
    arrived_.run = [](again::work& w) noexcept { static_cast<arrival&>(w).owner->hand_out(); };
    arrived_.owner = this;
    if (wake_ < 0) throw std::system_error{errno, std::generic_category(), "eventfd"};
  }
  line_source(const line_source&) = delete;
  line_source& operator=(const line_source&) = delete;
  ~line_source() {
    dropped_.store(true);
    abandon();
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
    next_line* behind_ = nullptr;
    bool waiting_ = false;
    result_type line_;
  };
  /// For the loop's thread.
  next_line next() noexcept { return next_line{*this}; }
  /// For the loop's thread: the next line, if it is there already and nobody waits for it.
  std::optional<input_line> ready() noexcept {
    const std::lock_guard lock{mutex_};
    std::optional<input_line> line;
    if (count_ != 0 && waiting_ == nullptr) line = pop();
    return line;
  }

  /// Stops reading at the end of the line that is being read, so that the next reader of a pipe begins with a whole line. Lines that were
  /// read are still handed out. Any thread may call it.
  void close() noexcept {
    closed_.store(true);
    wake();
  }
  /// Waits for the end of a line no longer: if it is not there, the line comes as `cut_off`. Any thread may call it.
  void abandon() noexcept {
    abandoned_.store(true);
    close();
  }
  /// True after `close`.
  bool closed() const noexcept { return closed_.load(); }
  /// Why reading ended before the end of the input, as an errno; 0: it did not.
  int problem() const noexcept { return problem_.load(); }

 private:
  static constexpr std::size_t ahead = 256;  // lines read before they are asked for
  static constexpr std::size_t ahead_bytes = std::size_t{4}
                                             << 20U;  // and their bytes, except that one line always fits
  static constexpr std::size_t file_block = std::size_t{64} << 10U;
  static constexpr std::size_t pipe_block =
      4096;  // what a crash may lose besides: bytes that are no longer in the pipe
  struct arrival : again::work {
    line_source* owner = nullptr;
  };

  void wake() noexcept {
    { const std::lock_guard lock{mutex_}; }
    room_.notify_one();
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
  }

  // ── the reading thread ──
  void read() noexcept {
    for (;;) {
      wait_for_room();
      const bool closing = closed_.load();
      if (closing && !begun()) return end(0);
      const bool abandoned = abandoned_.load();  // then what is there already is all that is read
      pollfd both[2] = {{fd_, POLLIN, 0}, {wake_, POLLIN, 0}};
      if (::poll(both, 2, abandoned ? 0 : -1) < 0) {
        if (errno == EINTR) continue;
        return fail(errno);
      }
      if (both[1].revents != 0) {
        std::uint64_t count = 0;
        [[maybe_unused]] const auto taken = ::read(wake_, &count, sizeof count);
        continue;
      }
      if (abandoned && (both[0].revents == 0 || at_ - given_ > 2 * options_.longest)) return fail(0);
      // The end of the last line is looked for byte by byte where the bytes after it belong to the next reader.
      const ssize_t n = ::read(fd_, block_.data(), closing && !options_.is_file ? 1 : block_.size());
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (n < 0) return fail(errno);
      if (n == 0) {
        if (begun()) give_line();
        return end(0);
      }
      take_block({block_.data(), static_cast<std::size_t>(n)}, closing);
    }
  }
  bool begun() const noexcept { return !line_.text.empty() || line_.problem != line_problem::none; }

  void take_block(std::string_view block, bool one_line) noexcept {
    while (!block.empty()) {
      const std::size_t newline = block.find('\n');
      const std::string_view piece = block.substr(0, newline);
      if (!begun()) line_.offset = options_.begin + at_;
      append(piece);
      const bool whole = newline != std::string_view::npos;
      const std::size_t used = piece.size() + (whole ? 1 : 0);
      at_ += used;
      block.remove_prefix(used);
      if (!whole) return;
      if (begun())
        give_line();
      else
        ++number_;  // blank
      if (one_line) return;
    }
  }
  void append(std::string_view piece) noexcept {
    if (line_.problem != line_problem::none) return;
    if (line_.text.size() + piece.size() > options_.longest) {
      line_.problem = line_problem::too_long;
    } else {
      try {
        line_.text.append(piece);
        return;
      } catch (const std::bad_alloc&) { line_.problem = line_problem::no_memory; }
    }
    line_.text = {};
  }
  void give_line() noexcept {
    if (line_.text.ends_with('\r')) line_.text.pop_back();
    line_.number = ++number_;
    line_.bytes = at_ - given_;
    given_ = at_;
    if (line_.problem == line_problem::cut_off) line_.text = {};
    if (!line_.text.empty() || line_.problem != line_problem::none) give();
    line_ = {};
  }
  bool has_room(std::size_t bytes) const noexcept {  // under the mutex
    return count_ == 0 || (count_ < ahead && ring_bytes_ + bytes <= ahead_bytes);
  }
  void wait_for_room() noexcept {
    std::unique_lock lock{mutex_};
    room_.wait(lock, [&] { return closed_.load() || has_room(0); });
  }
  void give() noexcept {
    std::unique_lock lock{mutex_};
    room_.wait(lock, [&] { return dropped_.load() || has_room(line_.text.size()); });
    if (count_ == ahead) return;  // the source is being destroyed
    ring_bytes_ += line_.text.size();
    ring_[(first_ + count_++) % ahead] = std::move(line_);
    announce();
  }
  void fail(int problem) noexcept {
    if (begun()) {
      line_.problem = line_problem::cut_off;
      give_line();
    }
    end(problem);
  }
  void end(int problem) noexcept {
    const std::lock_guard lock{mutex_};
    ended_ = true;
    problem_.store(problem);
    announce();
  }
  void announce() noexcept {  // under the mutex
    if (waiting_ == nullptr || announced_) return;
    announced_ = true;
    loop_.post(arrived_);
  }

  // ── the loop's thread ──
  bool take_or_wait(next_line& one) noexcept {
    const std::lock_guard lock{mutex_};
    if (count_ != 0) {
      one.line_ = pop();
      return true;
    }
    if (ended_) return true;
    one.waiting_ = true;
    (waiting_ == nullptr ? waiting_ : last_->behind_) = &one;
    last_ = &one;
    loop_.work_started();  // pretend time does not jump while input may come
    return false;
  }
  input_line pop() noexcept {  // under the mutex
    input_line& front = ring_[first_];
    ring_bytes_ -= front.text.size();
    first_ = (first_ + 1) % ahead;
    --count_;
    if (count_ <= ahead / 2) room_.notify_one();  // not for every line: it fills the ring, and sleeps again
    return std::move(front);
  }
  void hand_out() noexcept {
    std::unique_lock lock{mutex_};
    announced_ = false;
    while (waiting_ != nullptr && (count_ != 0 || ended_)) {
      next_line& one = *waiting_;
      waiting_ = one.behind_;
      one.waiting_ = false;
      if (count_ != 0) one.line_ = pop();
      loop_.work_finished();
      lock.unlock();
      one.k_();
      lock.lock();
    }
  }
  void forget(next_line& one) noexcept {
    const std::lock_guard lock{mutex_};
    next_line* before = nullptr;
    for (next_line* at = waiting_; at != &one; at = at->behind_) before = at;
    (before == nullptr ? waiting_ : before->behind_) = one.behind_;
    if (last_ == &one) last_ = before;
    loop_.work_finished();
  }

  again::scheduler& loop_;
  const int fd_;
  const options options_;
  const int wake_;
  std::atomic<bool> closed_{false}, abandoned_{false}, dropped_{false};
  std::atomic<int> problem_{0};

  // the reading thread's
  std::vector<char> block_;
  input_line line_;          // the line being read
  std::size_t number_ = 0;   // of the last line
  std::uint64_t at_ = 0;     // bytes taken
  std::uint64_t given_ = 0;  // of those: up to the end of the last line that was handed out

  std::mutex mutex_;  // guards what follows
  std::condition_variable room_;
  std::vector<input_line> ring_ = std::vector<input_line>(ahead);
  std::size_t first_ = 0, count_ = 0, ring_bytes_ = 0;
  next_line *waiting_ = nullptr, *last_ = nullptr;  // the first and the last of those that wait
  bool ended_ = false;
  bool announced_ = false;
  arrival arrived_;
  std::thread reader_;
};

}  // namespace programs
