// SPDX-License-Identifier: MIT
/// \file
/// The place inside a combinator where one start of its operation lives: built in place, looked at, torn down, built again.
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

// Out of line: what is rare need not stand in every frame.
[[gnu::noinline, gnu::cold]] inline void note_exception(std::exception_ptr& in) noexcept {
  in = std::current_exception();
}

/// Op: an operation. One thread: the scheduler's.
template <class Op> class attempt_slot {
 public:
  using startable_type = typename started_as<std::invoke_result_t<Op&>>::type;
  using result_type = typename startable_type::result_type;

  attempt_slot() noexcept {}
  attempt_slot(const attempt_slot&) = delete;
  attempt_slot& operator=(const attempt_slot&) = delete;
  ~attempt_slot() { reset(); }

  /// Starts `op` once; a throw while making the awaitable counts as one of the attempt. Before it is started again, `reset`.
  bool start(Op& op, continuation k, const context& ctx) noexcept { return !make(op) || attempt_.start(k, ctx); }

  /// Can the start be given the time? Only where nothing of the user's runs between the reading of the clock and the start.
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
  /// The result where it stands, without moving it, if the startable can show it.
  static constexpr bool shows = requires(startable_type& s) {
    { s.peek() } -> std::same_as<result_type*>;
  };
  result_type* peek() noexcept
    requires shows
  {
    return made_ ? attempt_.peek() : nullptr;
  }
};

/// An attempt slot whose finished result, an `expected`, is looked at before it is taken.
template <class Op, bool Shows = attempt_slot<Op>::shows> class result_view;

template <class Op> class result_view<Op, true> : public attempt_slot<Op> {
 public:
  typename attempt_slot<Op>::result_type* look() { return this->peek(); }
};

template <class Op> class result_view<Op, false> : public attempt_slot<Op> {
 public:
  /// Null if it threw.
  typename attempt_slot<Op>::result_type* look() {
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
