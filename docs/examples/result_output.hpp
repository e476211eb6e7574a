// SPDX-License-Identifier: MIT
// Results on their way to stdout: a coroutine waits until its result has a place in the writer's queue.
#pragma once

#include "output_writer.hpp"

#include <again/coro/awaitable.hpp>
#include <again/coro/scheduler.hpp>
#include <again/coro/task.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace programs {

/// `co_await results.put(text, line)`: true when the text is in the queue; false when it can never be written. A full queue holds up the
/// coroutines that have results, and so the lines that they would take next: a slow reader of results slows the reading of events.
///
/// Threads: all of it belongs to the loop's thread, but for `arrived_`, which the writer's thread posts.
class result_output {
 public:
  /// `failed` is called once, on the loop's thread, when writing has failed.
  result_output(again::scheduler& loop, int fd, std::function<void(int)> failed)
      : loop_{loop}, failed_{std::move(failed)} {
    arrived_.run = [](again::work& w) noexcept { static_cast<arrival&>(w).owner->go_on(); };
    arrived_.owner = this;
    writer_.emplace(fd, [this] { loop_.post(arrived_); });
  }
  result_output(const result_output&) = delete;
  result_output& operator=(const result_output&) = delete;
  ~result_output() {
    writer_.reset();  // and with it the last one who posts
    loop_.forget(arrived_);
  }

  class [[nodiscard]] put_line {
   public:
    using result_type = bool;
    put_line(result_output& out, std::string& text, std::uint64_t line) noexcept
        : out_{out}, text_{text}, line_{line} {}
    put_line(const put_line&) = delete;
    put_line& operator=(const put_line&) = delete;
    ~put_line() {
      if (waiting_) out_.forget(*this);
    }
    auto operator co_await() && noexcept { return again::detail::startable_awaiter<put_line>{*this}; }

    bool start(again::continuation k, const again::context&) noexcept {
      k_ = k;
      return out_.put_or_wait(*this);
    }
    result_type take() const noexcept { return taken_; }
    static std::exception_ptr exception() noexcept { return nullptr; }

   private:
    friend class result_output;
    result_output& out_;
    std::string& text_;
    std::uint64_t line_;
    again::continuation k_;
    put_line* behind_ = nullptr;
    bool waiting_ = false, taken_ = false;
  };
  /// `text` outlives the wait; another string of at least `output_writer::reserved` bytes of capacity comes back for it.
  put_line put(std::string& text, std::uint64_t line) noexcept { return put_line{*this, text, line}; }

  output_writer& writer() noexcept { return *writer_; }

 private:
  struct arrival : again::work {
    result_output* owner = nullptr;
  };

  bool put_or_wait(put_line& one) noexcept {
    if (waiting_ == nullptr && try_put(one)) return true;
    one.waiting_ = true;
    (waiting_ == nullptr ? waiting_ : last_->behind_) = &one;
    last_ = &one;
    loop_.work_started();  // pretend time does not jump while somebody reads
    return false;
  }
  /// False: it has to wait.
  bool try_put(put_line& one) noexcept {
    one.taken_ = writer_->put(one.text_, one.line_);
    return one.taken_ || writer_->error() != 0;
  }
  void go_on() noexcept {
    if (const int problem = writer_->error(); problem != 0 && failed_) std::exchange(failed_, nullptr)(problem);
    while (waiting_ != nullptr && try_put(*waiting_)) {
      put_line& one = *waiting_;
      waiting_ = one.behind_;
      one.waiting_ = false;
      loop_.work_finished();
      one.k_();
    }
  }
  void forget(put_line& one) noexcept {
    put_line* before = nullptr;
    for (put_line* at = waiting_; at != &one; at = at->behind_) before = at;
    (before == nullptr ? waiting_ : before->behind_) = one.behind_;
    if (last_ == &one) last_ = before;
    loop_.work_finished();
  }

  again::scheduler& loop_;
  std::function<void(int)> failed_;
  arrival arrived_;
  put_line *waiting_ = nullptr, *last_ = nullptr;
  std::optional<output_writer> writer_;
};

}  // namespace programs
