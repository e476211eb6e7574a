// SPDX-License-Identifier: MIT
/// \file
/// `attempt_slot`: storage inside a combinator for one start of its operation. The startable is made in place, and is
/// destroyed before the next one is made. `result_view` is a slot whose result can be inspected before it is taken.
///
/// One thread: the scheduler's.
#pragma once

#include <again/core/detail/addressof.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/foreign_awaitable.hpp>

#include <exception>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Awaitable> struct started_as {
  using type = foreign_awaitable<Awaitable>;
};
template <class Awaitable>
  requires startable<std::remove_cvref_t<Awaitable>>
struct started_as<Awaitable> {
  using type = std::remove_cvref_t<Awaitable>;
};

// Out of line: it is rare, and would make every caller longer.
[[gnu::noinline, gnu::cold]] inline void note_exception(std::exception_ptr& in) noexcept {
  in = std::current_exception();
}

template <class Op> class attempt_slot {
 public:
  using startable_type = typename started_as<std::invoke_result_t<Op&>>::type;
  using result_type = owned_result_t<typename startable_type::result_type>;

  attempt_slot() noexcept {}
  attempt_slot(const attempt_slot&) = delete;
  attempt_slot& operator=(const attempt_slot&) = delete;
  ~attempt_slot() { reset(); }

  /// Like a startable's `start`. If `op` throws instead of making an awaitable, that is the attempt's exception. Call
  /// `reset` before the next start.
  bool start(Op& op, continuation k, const context& ctx) noexcept { return !make(op) || attempt_.start(k, ctx); }

  /// True if `start_at` may be used: the time that the caller has just read is still exact when the attempt starts,
  /// because no code of the user runs in between.
  static constexpr bool starts_at = requires(startable_type& s, continuation k, const context& ctx, time_point now) {
    requires Op::makes_at_once;
    s.start_at(k, ctx, now);
  };
  bool start_at(Op& op, continuation k, const context& ctx, time_point now) noexcept {
    return !make(op) || attempt_.start_at(k, ctx, now);
  }

  std::exception_ptr exception() noexcept { return made_ ? attempt_.exception() : not_made_; }
  result_type take() {
    if (!made_) std::rethrow_exception(not_made_);
    return attempt_.take();
  }

  void reset() noexcept {
    if (made_) {
      made_ = false;
      attempt_.~startable_type();
    }
  }

 private:
  bool make(Op& op) noexcept {
    try {
      if constexpr (std::is_same_v<startable_type, std::remove_cvref_t<std::invoke_result_t<Op&>>>) {
        ::new (static_cast<void*>(address_of(attempt_))) startable_type(op());
      } else {
        ::new (static_cast<void*>(address_of(attempt_))) startable_type(std::in_place, op);
      }
    } catch (...) {
      note_exception(not_made_);
      return false;
    }
    made_ = true;
    return true;
  }

  bool made_ = false;
  std::exception_ptr not_made_;
  union {
    startable_type attempt_;
  };

 public:
  /// True if the startable can give a pointer to its result.
  static constexpr bool shows = requires(startable_type& s) {
    { s.peek() } -> std::same_as<typename startable_type::result_type*>;
  };
  result_type* peek() noexcept
    requires shows
  {
    return made_ ? attempt_.peek() : nullptr;
  }
};

/// An attempt slot whose result is inspected before it is taken: in the startable if that can show it, else in a copy
/// here.
template <class Op, bool Shows = attempt_slot<Op>::shows> class result_view;

template <class Op> class result_view<Op, true> : public attempt_slot<Op> {
 public:
  /// Null if it threw.
  typename attempt_slot<Op>::result_type* inspect() { return this->peek(); }
};

template <class Op> class result_view<Op, false> : public attempt_slot<Op> {
 public:
  /// Null if it threw.
  typename attempt_slot<Op>::result_type* inspect() {
    taken_.reset();
    if (this->exception()) return nullptr;
    taken_.emplace(this->take());
    return &*taken_;
  }

 private:
  std::optional<typename attempt_slot<Op>::result_type> taken_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
