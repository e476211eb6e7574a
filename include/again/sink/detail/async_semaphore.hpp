// SPDX-License-Identifier: MIT
/// \file
/// Slots with a line in front of them, and the place where one waits for all of them to be free. One loop, one thread.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/scheduler.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// A line of waiters, first come first served.
template <class Waiter> class sink_line {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return size_; }
  void push(Waiter& w) noexcept {
    w.previous_ = last_;
    w.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &w;
    last_ = &w;
    ++size_;
  }
  void remove(Waiter& w) noexcept {
    (w.previous_ != nullptr ? w.previous_->next_ : first_) = w.next_;
    (w.next_ != nullptr ? w.next_->previous_ : last_) = w.previous_;
    --size_;
  }
  Waiter* pop() noexcept {
    Waiter* const w = first_;
    if (w != nullptr) remove(*w);
    return w;
  }

 private:
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  std::size_t size_ = 0;
};

/// Who waits in a line: until somebody calls its turn, a stop request, or a time. The result says whether it was called.
class [[nodiscard]] sink_wait : timer, work {
 public:
  using result_type = bool;

  /// `asked(self)`: called at the start; true: no need to wait. `returned`: what to do with a turn that nobody took.
  sink_wait(sink_line<sink_wait>& line, void* owner, bool (*asked)(void*) noexcept, void (*returned)(void*) noexcept,
            duration at_most = forever, bool stoppable = true) noexcept
      : line_{line}, owner_{owner}, asked_{asked}, returned_{returned}, at_most_{at_most}, stoppable_{stoppable} {}
  sink_wait(const sink_wait&) = delete;
  sink_wait& operator=(const sink_wait&) = delete;
  ~sink_wait() {
    leave();
    if (state_ == states::called) returned_(owner_);
  }
  auto operator co_await() && noexcept { return startable_awaiter<sink_wait>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    if (asked_(owner_)) {
      state_ = states::taken;
      return true;
    }
    if (stoppable_ && ctx.stop.stop_requested()) return true;
    k_ = k;
    context_ = &ctx;
    this->run = [](work& w) noexcept { static_cast<sink_wait&>(w).wake(); };
    this->fire = [](timer& t) noexcept { static_cast<sink_wait&>(t).wake(); };
    if (at_most_ != forever) ctx.scheduler->arm(*this, saturating_add(ctx.scheduler->now(), at_most_));
    line_.push(*this);
    state_ = states::waiting;
    if (stoppable_ && ctx.stop.stop_possible()) stopped_.emplace(ctx.stop, stopped{this});
    return false;
  }
  bool take() noexcept { return state_ == states::taken; }
  static std::exception_ptr exception() noexcept { return nullptr; }

  /// Its turn; it is out of the line.
  void call() noexcept { leave_line(states::called); }
  /// It will not have a turn; it is out of the line.
  void refuse() noexcept { leave_line(states::refused); }

 private:
  friend class sink_line<sink_wait>;
  enum class states : std::uint8_t { outside, waiting, called, refused, taken };
  struct stopped {
    sink_wait* self;
    void operator()() const noexcept { self->context_->scheduler->post(*self); }
  };

  void leave_line(states to) noexcept {
    state_ = to;
    stopped_.reset();
    if (this->armed()) context_->scheduler->disarm(*this);
    context_->scheduler->forget(*this);
    context_->scheduler->post(*this);
  }
  void wake() noexcept {
    if (state_ == states::called) {
      state_ = states::taken;
    } else if (state_ == states::waiting) {  // stopped, or its time is up
      line_.remove(*this);
      state_ = states::refused;
    }
    leave();
    k_();
  }
  void leave() noexcept {
    if (context_ == nullptr) return;
    stopped_.reset();
    if (state_ == states::waiting) {
      line_.remove(*this);
      state_ = states::refused;
    }
    if (this->armed()) context_->scheduler->disarm(*this);
    context_->scheduler->forget(*this);
    context_ = nullptr;
  }

  sink_line<sink_wait>& line_;
  void* owner_;
  bool (*asked_)(void*) noexcept;
  void (*returned_)(void*) noexcept;
  duration at_most_;
  bool stoppable_;
  states state_ = states::outside;
  continuation k_;
  const context* context_ = nullptr;
  sink_wait* next_ = nullptr;
  sink_wait* previous_ = nullptr;
  std::optional<inplace_stop_callback<stopped>> stopped_;
};

/// So many slots.
class sink_gate {
 public:
  explicit sink_gate(std::size_t slots) noexcept : slots_{slots} {}
  sink_gate(const sink_gate&) = delete;
  sink_gate& operator=(const sink_gate&) = delete;
  ~sink_gate() = default;

  /// True: a slot is the caller's, to be given back by `leave`.
  sink_wait enter() noexcept {
    return sink_wait{line_, this, [](void* self) noexcept { return static_cast<sink_gate*>(self)->try_enter(); },
                     [](void* self) noexcept { static_cast<sink_gate*>(self)->leave(); }};
  }
  bool try_enter() noexcept {
    if (refusing_ || taken_ >= slots_) return false;
    ++taken_;
    return true;
  }
  void leave() noexcept {
    if (sink_wait* const next = line_.pop()) {
      next->call();  // the slot is handed on
    } else {
      --taken_;
    }
  }
  /// Nobody gets in any more; those who wait are told.
  void refuse_all() noexcept {
    refusing_ = true;
    while (sink_wait* const w = line_.pop()) w->refuse();
  }
  bool refusing() const noexcept { return refusing_; }
  std::size_t taken() const noexcept { return taken_; }
  std::size_t waiting() const noexcept { return line_.size(); }

 private:
  std::size_t slots_;
  std::size_t taken_ = 0;
  bool refusing_ = false;
  sink_line<sink_wait> line_;
};

/// A slot that is given back at the end of its owner's life.
class sink_slot {
 public:
  sink_slot() = default;
  explicit sink_slot(sink_gate& of) noexcept : of_{&of} {}
  sink_slot(sink_slot&& other) noexcept : of_{std::exchange(other.of_, nullptr)} {}
  sink_slot& operator=(sink_slot&& other) noexcept {
    std::swap(of_, other.of_);
    return *this;
  }
  sink_slot(const sink_slot&) = delete;
  sink_slot& operator=(const sink_slot&) = delete;
  ~sink_slot() {
    if (of_ != nullptr) of_->leave();
  }

 private:
  sink_gate* of_ = nullptr;
};

/// How many are in there, and waiting until nobody is.
class sink_presence {
 public:
  void come() noexcept { ++here_; }
  void go() noexcept {
    if (--here_ != 0) return;
    while (sink_wait* const w = line_.pop()) w->call();
  }
  std::size_t here() const noexcept { return here_; }
  /// False: not in time, or stopped.
  sink_wait empty(duration at_most, bool stoppable) noexcept {
    return sink_wait{line_,
                     this,
                     [](void* self) noexcept { return static_cast<sink_presence*>(self)->here_ == 0; },
                     [](void*) noexcept {},
                     at_most,
                     stoppable};
  }

 private:
  std::size_t here_ = 0;
  sink_line<sink_wait> line_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
