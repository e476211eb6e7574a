// SPDX-License-Identifier: MIT
// Writing to a descriptor on a separate thread, so that a reader that stalls stops nothing else.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace programs {

/// A bounded queue of texts, and a thread that writes them in order. All memory of the queue is taken at the start: texts are swapped in
/// and out, so that putting one allocates nothing.
///
/// Threads: every member function may be called from any thread. The ring belongs to all under the mutex; the texts that the thread is
/// writing are its own until it has counted them as written. State is shared with the thread, which may outlive the writer in a write
/// that blocks.
class output_writer {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t most_texts = 256,
                               most_bytes = std::size_t{256} << 10U;  ///< in the queue; one text always fits
  static constexpr std::size_t reserved = 512;  ///< the least capacity of a string that comes out of the queue
  static constexpr std::chrono::seconds stall{1}, last_words{10};  ///< see `hurry`

  /// `changed` is called on the writer's thread: after an error, and when there is room again after `put` found none.
  explicit output_writer(int fd, std::function<void()> changed = {})
      : state_{std::make_shared<state>(fd, std::move(changed))} {
    std::thread{[s = state_] { s->run(); }}.detach();
  }
  output_writer(const output_writer&) = delete;
  output_writer& operator=(const output_writer&) = delete;
  /// What is still in the queue is not written. Waits for the thread, but not for a write that blocks.
  ~output_writer() {
    std::unique_lock lock{state_->mutex};
    state_->stopping = true;
    state_->wake();
    state_->progressed.wait_for(lock, stall, [this] { return state_->over; });
    state_->changed = nullptr;
  }

  /// Takes `text`, and gives another string for it. False, and `text` stays: there is no room, or an error before. `tag` names the text if
  /// it turns out that it cannot be written.
  bool put(std::string& text, std::uint64_t tag = 0) noexcept {
    const std::lock_guard lock{state_->mutex};
    return state_->put(text, tag);
  }
  /// The same, but waits for room as long as the reader takes something within `stall`.
  bool put_patiently(std::string& text, std::uint64_t tag = 0) noexcept {
    std::unique_lock lock{state_->mutex};
    while (!state_->put(text, tag)) {
      if (state_->error != 0 || clock::now() >= state_->progress_at + stall) return false;
      state_->progressed.wait_until(lock, state_->progress_at + stall);
    }
    return true;
  }
  /// The errno of the write that failed; 0: none did.
  int error() const noexcept {
    const std::lock_guard lock{state_->mutex};
    return state_->error;
  }
  bool idle() const noexcept {
    const std::lock_guard lock{state_->mutex};
    return state_->count == 0;
  }
  /// After an error: takes the next tag of a text that was not written.
  std::optional<std::uint64_t> next_unwritten() noexcept {
    const std::lock_guard lock{state_->mutex};
    if (state_->error == 0 || state_->count == 0) return std::nullopt;
    return state_->pop();
  }
  /// From now on, a reader that takes nothing for `stall` has had its time, and so has any reader after `last_words`: an error.
  void hurry() noexcept {
    const std::lock_guard lock{state_->mutex};
    if (state_->hurried_at) return;
    state_->hurried_at = state_->progress_at = clock::now();
    state_->wake();
  }
  /// Waits until all is written, or an error.
  void drain() noexcept {
    std::unique_lock lock{state_->mutex};
    state_->progressed.wait(lock, [this] { return state_->count == 0 || state_->error != 0; });
  }

 private:
  struct entry {
    std::string text;
    std::uint64_t tag = 0;
  };

  struct state {
    state(int descriptor, std::function<void()> f) : fd{descriptor}, ring(most_texts), changed{std::move(f)} {
      for (entry& e : ring) e.text.reserve(reserved);
      struct stat about{};
      const bool known = ::fstat(fd, &about) == 0;
      if (known && S_ISREG(about.st_mode)) most_at_once = std::size_t{64} << 10U;
      is_socket = known && S_ISSOCK(about.st_mode);
      // A description of our own never blocks, and those who share the given one are not disturbed.
      if (known && (S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode))) {
        const std::string path = "/proc/self/fd/" + std::to_string(fd);
        own = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (own >= 0) fd = own;
      }
      woken = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
      if (woken < 0) throw std::system_error{errno, std::generic_category(), "eventfd"};
    }
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    ~state() {
      if (own >= 0) ::close(own);
      ::close(woken);
    }

    bool put(std::string& text, std::uint64_t tag) noexcept {  // under the mutex, as all down to `run`
      if (error != 0) return false;
      if (count == most_texts || (count != 0 && bytes + text.size() > most_bytes)) {
        room_wanted = true;
        return false;
      }
      entry& free = ring[(first + count) % most_texts];
      bytes += text.size();
      free.text.swap(text);
      free.tag = tag;
      text.clear();
      if (count++ == 0) {
        progress_at = clock::now();
        wake();
      }
      return true;
    }
    std::uint64_t pop() noexcept {
      entry& front = ring[first];
      bytes -= front.text.size();
      front.text.clear();
      first = (first + 1) % most_texts;
      --count;
      return front.tag;
    }
    void wake() noexcept {
      has_text.notify_one();
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto told = ::write(woken, &one, sizeof one);
    }

    // ── the writer's thread ──
    void run() noexcept {
      std::unique_lock lock{mutex};
      for (;;) {
        has_text.wait(lock, [this] { return stopping || (count != 0 && error == 0); });
        if (stopping) break;
        std::array<iovec, 16> parts;
        int used = 0;
        std::size_t room = most_at_once;
        for (std::size_t i = 0; i < std::min(count, parts.size()) && room != 0; ++i) {
          std::string& text = ring[(first + i) % most_texts].text;
          const std::size_t from = i == 0 ? written : 0;
          const std::size_t length = std::min(text.size() - from, room);
          parts[static_cast<std::size_t>(used++)] = {text.data() + from, length};
          room -= length;
        }
        lock.unlock();
        const ssize_t n = write_some(parts.data(), used);
        const int problem = n < 0 ? errno : 0;
        lock.lock();
        if (problem == ECANCELED) break;
        if (problem != 0) {
          error = problem;
        } else {
          written += static_cast<std::size_t>(n);
          while (count != 0 && written >= ring[first].text.size()) {
            written -= ring[first].text.size();
            pop();
          }
          progress_at = clock::now();
        }
        progressed.notify_all();
        if (changed && (problem != 0 || std::exchange(room_wanted, false))) changed();
      }
      over = true;
      progressed.notify_all();
    }
    /// Writes at least a byte. ECANCELED: the writer is being destroyed. ETIMEDOUT: the reader had its time.
    ssize_t write_some(iovec* parts, int used) noexcept {
      for (;;) {
        if (!can_block() || writable()) {
          msghdr message{};
          message.msg_iov = parts;
          message.msg_iovlen = static_cast<std::size_t>(used);
          const ssize_t n =
              is_socket ? ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) : ::writev(fd, parts, used);
          if (n >= 0) return n;
          if (errno == EINTR) continue;
          if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
        }
        const std::optional<int> problem = wait_until_writable();
        if (!problem) continue;
        errno = *problem;
        return -1;
      }
    }
    /// A pipe or terminal that is not ours: it takes a page when it says that it takes something.
    bool can_block() const noexcept { return own < 0 && !is_socket && most_at_once <= PIPE_BUF; }
    bool writable() const noexcept {
      pollfd one{fd, POLLOUT, 0};
      return ::poll(&one, 1, 0) > 0;
    }
    std::optional<int> wait_until_writable() noexcept {
      pollfd both[2] = {{fd, POLLOUT, 0}, {woken, POLLIN, 0}};
      int wait = -1;
      {
        const std::lock_guard lock{mutex};
        if (stopping) return ECANCELED;
        if (hurried_at) {
          const auto left = std::min(progress_at + stall, *hurried_at + last_words) - clock::now();
          if (left <= left.zero()) return ETIMEDOUT;
          wait = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
        }
      }
      if (::poll(both, 2, wait) > 0 && both[1].revents != 0) {
        std::uint64_t told = 0;
        [[maybe_unused]] const auto taken = ::read(woken, &told, sizeof told);
      }
      return std::nullopt;
    }

    int fd;
    int own = -1, woken = -1;
    bool is_socket = false;
    std::size_t most_at_once = PIPE_BUF;

    std::mutex mutex;  // guards what follows
    std::condition_variable has_text, progressed;
    std::vector<entry> ring;
    std::size_t first = 0, count = 0, bytes = 0;
    std::size_t written = 0;  // bytes of the first text
    std::optional<clock::time_point> hurried_at;
    clock::time_point progress_at{};
    std::function<void()> changed;
    bool room_wanted = false, stopping = false, over = false;
    int error = 0;
  };

  std::shared_ptr<state> state_;
};

}  // namespace programs
