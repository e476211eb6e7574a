// SPDX-License-Identifier: MIT
/// \file
/// Stop requests without allocation: `inplace_stop_source`, `inplace_stop_token`, `inplace_stop_callback`
/// (P2300 [stoptoken.inplace]).
///
/// ```cpp
/// again::inplace_stop_source source;
/// again::inplace_stop_callback on_stop{source.get_token(), [&] { cancel_query(); }};
/// source.request_stop();                                   // calls cancel_query on this thread
///
/// std::stop_callback follow{token, [&] { source.request_stop(); }};   // to follow a std::stop_token
/// ```
///
/// - Lifetime: the source owns the state. Tokens and callbacks point to the source and must not outlive it.
/// - Thread: `request_stop` may be called from any thread, but not from a signal handler. It runs the callbacks on the
///   calling thread. A callback that is registered after the request runs at once, in its constructor.
/// - A callback's destructor waits if the callback is running on another thread. So what the callback refers to may be
///   destroyed afterwards.
/// - Cost: no allocation; two atomic operations for a request that has no callbacks.
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
template <class Callback> class inplace_stop_callback;

namespace detail {

class stop_list;

/// The identity of the calling thread: an address that differs between all threads that run at the same time. It saves
/// including <thread>.
inline const void* this_thread_mark() noexcept {
  static thread_local constinit char mark = 0;
  return &mark;
}

/// A callback in the list of a source. `run` is called once, on the thread that requests the stop. From then on the
/// source does not use the node's links, so `run` may post the node to a scheduler.
struct stop_node : work {
  bool listed = false;                // guarded by the source's lock bit
  std::atomic<bool> finished{false};  // `run` has returned
};

}  // namespace detail

/// Says whether stop was requested of its source. A token without a source never stops. It models `std::stoppable_token`
/// (P2300), so that senders take it as it is.
class inplace_stop_token {
 public:
  template <class Callback> using callback_type = inplace_stop_callback<Callback>;

  constexpr inplace_stop_token() noexcept = default;
  [[nodiscard]] bool stop_requested() const noexcept;
  [[nodiscard]] constexpr bool stop_possible() const noexcept { return source_ != nullptr; }
  constexpr void swap(inplace_stop_token& other) noexcept { std::swap(source_, other.source_); }
  friend constexpr bool operator==(inplace_stop_token, inplace_stop_token) noexcept = default;

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
  [[nodiscard]] static constexpr bool stop_possible() noexcept { return true; }
  [[nodiscard]] bool stop_requested() const noexcept {
    return (state_.load(std::memory_order_acquire) & requested) != 0;
  }

  /// Runs the callbacks. True if this was the first request.
  bool request_stop() noexcept {
    if (!lock(requested)) return false;
    notifier_ = detail::this_thread_mark();
    while (callbacks_ != nullptr) {
      detail::stop_node* const node = callbacks_;
      unhook(node);
      gone_ = false;
      unlock();
      node->run(*node);
      // The last access to the node: its owner may be waiting for this.
      if (!gone_) node->finished.store(true, std::memory_order_release);
      lock(0);
    }
    unlock();
    return true;
  }

 private:
  friend class detail::stop_list;
  static constexpr std::uint8_t requested = 1;
  static constexpr std::uint8_t locked = 2;

  // Locks, and sets `also`. False, not locked: `also` is `requested`, and stop was requested already.
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

  // False: stop was requested already, and the caller must run the callback.
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
    if (mine) {  // destroyed inside its own callback, or an enclosing one: waiting would never end
      if (!node->finished.load(std::memory_order_relaxed)) gone_ = true;
      return;
    }
    while (!node->finished.load(std::memory_order_acquire)) {}
  }

  mutable std::atomic<std::uint8_t> state_{0};
  mutable bool gone_ = false;  // used by the notifying thread: the running callback has destroyed itself
  mutable detail::stop_node* callbacks_ = nullptr;  // guarded by the lock bit
  const void* notifier_ = nullptr;                  // guarded by the lock bit
};

inline bool inplace_stop_token::stop_requested() const noexcept {
  return source_ != nullptr && source_->stop_requested();
}

namespace detail {

/// Adds and removes nodes that are not an `inplace_stop_callback`.
class stop_list {
 public:
  /// Requires `token.stop_possible()`. False: stop was requested already, and `run` will not be called.
  static bool add(inplace_stop_token token, stop_node& node) noexcept { return token.source_->add(&node); }
  /// Removes a node that was added. Afterwards `run` is not running and will not be called.
  static void remove(inplace_stop_token token, stop_node& node) noexcept { token.source_->remove(&node); }
};

}  // namespace detail

/// Calls `callback()` when stop is requested: at most once, and never after its destructor.
template <class Callback> class [[nodiscard]] inplace_stop_callback : detail::stop_node {
 public:
  using callback_type = Callback;

  template <class F>
    requires std::is_constructible_v<Callback, F>
  explicit inplace_stop_callback(inplace_stop_token token,
                                 F&& callback) noexcept(std::is_nothrow_constructible_v<Callback, F>)
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
