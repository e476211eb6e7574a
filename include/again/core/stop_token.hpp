// SPDX-License-Identifier: MIT
/// \file
/// Stop requests without an allocation: `inplace_stop_source`, `inplace_stop_token`, `inplace_stop_callback` (P2300 [stoptoken.inplace]).
///
/// The source owns the state, tokens point to it and must not outlive it. `request_stop` may come from any thread, and from
/// a signal-handling thread, but not from inside a signal handler. Callbacks run on the requesting thread, inside
/// `request_stop`; one registered after the request runs at once, in its own constructor. A callback's destructor waits for
/// it if it is just running on another thread, so that what it refers to may be destroyed next.
/// To follow a `std::stop_token`, write `std::stop_callback follow{token, [&] { source.request_stop(); }};`.
#pragma once

#include <again/core/detail/work.hpp>
#include <again/core/expected.hpp>

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

class inplace_stop_source;
class inplace_stop_token;

namespace detail {

class stop_list;

/// An address that differs between threads running at the same time: a thread's identity without <thread>.
inline const void* this_thread_mark() noexcept {
  static thread_local constinit char mark = 0;
  return &mark;
}

/// What listens: `run` is called once, on the thread that requests the stop. From then on the source has no more use of the
/// node's links, so that `run` may post the node itself to a scheduler.
struct stop_node : work {
  bool listed = false;                // guarded by the source's lock bit
  std::atomic<bool> finished{false};  // `run` has returned
};

}  // namespace detail

/// Asks a source; a default token never stops.
class inplace_stop_token {
 public:
  constexpr inplace_stop_token() noexcept = default;
  [[nodiscard]] bool stop_requested() const noexcept;
  [[nodiscard]] constexpr bool stop_possible() const noexcept { return source_ != nullptr; }
  friend constexpr bool operator==(inplace_stop_token, inplace_stop_token) = default;

 private:
  friend class inplace_stop_source;
  template <class> friend class inplace_stop_callback;
  friend class detail::stop_list;
  constexpr explicit inplace_stop_token(const inplace_stop_source* source) noexcept : source_{source} {}
  const inplace_stop_source* source_ = nullptr;
};

class inplace_stop_source {
 public:
  inplace_stop_source() noexcept = default;
  inplace_stop_source(const inplace_stop_source&) = delete;
  inplace_stop_source& operator=(const inplace_stop_source&) = delete;
  ~inplace_stop_source() = default;

  [[nodiscard]] inplace_stop_token get_token() const noexcept { return inplace_stop_token{this}; }
  [[nodiscard]] bool stop_requested() const noexcept {
    return (state_.load(std::memory_order_acquire) & requested) != 0;
  }

  /// Runs the callbacks; true if this was the first request. Cost: two atomic operations when nobody listens.
  bool request_stop() noexcept {
    if (!lock(requested)) return false;
    notifier_ = detail::this_thread_mark();
    while (callbacks_ != nullptr) {
      detail::stop_node* const node = callbacks_;
      unhook(node);
      gone_ = false;
      unlock();
      node->run(*node);
      if (!gone_) node->finished.store(true, std::memory_order_release);  // last touch: its owner may be waiting to go
      lock(0);
    }
    unlock();
    return true;
  }

 private:
  friend class detail::stop_list;
  static constexpr std::uint8_t requested = 1;
  static constexpr std::uint8_t locked = 2;

  // Locks and sets `also`; with `also == requested` fails, unlocked, when that was set already.
  bool lock(std::uint8_t also) const noexcept {
    std::uint8_t seen = state_.load(std::memory_order_relaxed);
    for (;;) {
      if (also == requested && (seen & requested) != 0) return false;
      if ((seen & locked) != 0) {
        seen = state_.load(std::memory_order_relaxed);
        continue;
      }
      if (state_.compare_exchange_weak(seen, static_cast<std::uint8_t>(seen | locked | also),
                                       std::memory_order_acq_rel)) {
        return true;
      }
    }
  }
  void unlock() const noexcept { state_.fetch_and(static_cast<std::uint8_t>(~locked), std::memory_order_release); }

  void hook(detail::stop_node* node) const noexcept {
    node->listed = true;
    node->previous = nullptr;
    node->next = callbacks_;
    if (callbacks_ != nullptr) callbacks_->previous = node;
    callbacks_ = node;
  }
  void unhook(detail::stop_node* node) const noexcept {
    node->listed = false;
    if (node->previous != nullptr) {
      node->previous->next = node->next;
    } else {
      callbacks_ = static_cast<detail::stop_node*>(node->next);
    }
    if (node->next != nullptr) node->next->previous = node->previous;
  }

  // False: stop was requested already and the callback is to run now.
  bool add(detail::stop_node* node) const noexcept {
    if (stop_requested()) return false;
    lock(0);
    const bool hooked = !stop_requested();
    if (hooked) hook(node);
    unlock();
    return hooked;
  }
  void remove(detail::stop_node* node) const noexcept {
    lock(0);
    if (node->listed) {
      unhook(node);
      unlock();
      return;
    }
    const bool mine = notifier_ == detail::this_thread_mark();
    unlock();
    if (mine) {  // destroyed from inside its own (or an enclosing) callback: nobody to wait for
      if (!node->finished.load(std::memory_order_relaxed)) gone_ = true;
      return;
    }
    while (!node->finished.load(std::memory_order_acquire)) {}
  }

  mutable std::atomic<std::uint8_t> state_{0};
  mutable bool gone_ = false;                       // the notifier's: the callback that runs has destroyed itself
  mutable detail::stop_node* callbacks_ = nullptr;  // guarded by the lock bit
  const void* notifier_ = nullptr;                  // guarded by the lock bit
};

inline bool inplace_stop_token::stop_requested() const noexcept {
  return source_ != nullptr && source_->stop_requested();
}

namespace detail {

/// For those that are a `stop_node` themselves.
class stop_list {
 public:
  /// `token.stop_possible()`. False: stop has been requested already, and `run` will not be called.
  static bool add(inplace_stop_token token, stop_node& node) noexcept { return token.source_->add(&node); }
  /// What was added: afterwards `run` is not running and will not run.
  static void remove(inplace_stop_token token, stop_node& node) noexcept { token.source_->remove(&node); }
};

}  // namespace detail

/// Calls `callback()` once when stop is requested, at most once, never after the destructor.
template <class Callback> class [[nodiscard]] inplace_stop_callback : detail::stop_node {
 public:
  template <class F>
    requires std::is_constructible_v<Callback, F>
  inplace_stop_callback(inplace_stop_token token, F&& callback)
      : callback_(std::forward<F>(callback)), source_{token.source_} {
    this->run = [](work& self) noexcept { static_cast<inplace_stop_callback&>(self).callback_(); };
    if (source_ != nullptr && !detail::stop_list::add(token, *this)) {
      source_ = nullptr;
      callback_();
    }
  }
  inplace_stop_callback(const inplace_stop_callback&) = delete;
  inplace_stop_callback& operator=(const inplace_stop_callback&) = delete;
  ~inplace_stop_callback() {
    if (source_ != nullptr) detail::stop_list::remove(inplace_stop_token{source_}, *this);
  }

 private:
  Callback callback_;
  const inplace_stop_source* source_;
};
template <class F> inplace_stop_callback(inplace_stop_token, F) -> inplace_stop_callback<F>;

}  // namespace AGAIN_ABI
}  // namespace again
