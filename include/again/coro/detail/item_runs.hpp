// SPDX-License-Identifier: MIT
/// \file
/// `item_runs`: calls a function for each item of a range, and awaits at most `n` of the calls at once. What becomes of
/// the results is the sink's business.
///
/// - A slot holds one call: its item, its awaitable, and its result until the sink takes it. There are at most `n` slots,
///   made when they are first needed and used again.
/// - `window_` counts the slots in use. If results are delivered in the order of the items, a result that waits for an
///   earlier one keeps its slot, so that no more than `n` of them wait.
/// - What finishes at once is handled in the same loop, so that the stack stays constant. After 64 items in a row the
///   loop gives way to the other work and the timers of the scheduler.
///
/// Everything runs on the scheduler's thread.
#pragma once

#include <again/core/detail/linked_stop_source.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/bounded_operation.hpp>
#include <again/coro/detail/item_source.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/regular_result.hpp>

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// Makes the awaitable of one item.
template <class F, class Reference> struct item_call {
  F* f = nullptr;
  kept_item<Reference>* item = nullptr;
  decltype(auto) operator()() { return (*f)(item->get()); }
};

template <class F, class Range>
using item_call_of = item_call<F, typename item_source<std::remove_reference_t<Range>>::reference>;

/// The result of awaiting the call of one item; `std::monostate` for void.
template <class F, class Range>
using item_result_t = regular_t<typename attempt_slot<item_call_of<F, Range>>::result_type>;

/// What `F` is called with for an item of `Range`.
template <class Range>
using item_argument = typename kept_item<typename item_source<std::remove_reference_t<Range>>::reference>::argument;

template <class Range>
concept any_item_range = item_range<std::remove_reference_t<Range>>;

template <class F, class Range>
concept called_with_items = any_item_range<Range> && std::is_invocable_v<F&, item_argument<Range>> &&
                            awaitable<std::invoke_result_t<F&, item_argument<Range>>>;

/// What all starts of a `for_each` or `transform` share. `Range` is an object type if the operation owns the range, a
/// reference if the range is stored elsewhere.
template <class Range, class F, class Settings> struct item_parts {
  Range range;
  F f;
  int at_most;
  Settings settings;
};

/// A `Sink` is made from its `settings`, which it may refer to. It has
/// - `bool accept(std::size_t index, R&& result)`: takes the result of an item; false: start no further one, and stop
///   those that run. May throw, which ends the run with that exception.
/// - `bool in_order() const`: whether results are accepted in the order of the items, else as they come.
/// - `result_type finish(bool complete)`: the result of the whole; `complete`: all items of the range were started.
template <class Range, class F, class Sink> class [[nodiscard]] item_runs : work {
  using stored_range = std::remove_reference_t<Range>;
  using call = item_call_of<F, stored_range>;

 public:
  using result_type = typename Sink::result_type;
  using parts = item_parts<Range, F, typename Sink::settings>;

  explicit item_runs(parts& p) : f_{p.f}, sink_{p.settings}, source_{p.range}, at_most_{p.at_most} {}
  item_runs(const item_runs&) = delete;
  item_runs& operator=(const item_runs&) = delete;
  ~item_runs() {
    stop_.unlink();
    if (posted_) inner_.scheduler->forget(*this);
    while (all_ != nullptr) delete std::exchange(all_, all_->next_of_all);
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<item_runs>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    this->run = [](work& self) noexcept {
      item_runs& runs = static_cast<item_runs&>(self);
      runs.posted_ = false;
      runs.go_on();
    };
    inner_ = ctx;
    inner_.stop = stop_.get_token();
    stop_.follow(ctx.stop);
    start_more();
    if (!over()) return false;
    stop_.unlink();
    return true;
  }
  std::exception_ptr exception() noexcept { return thrown_; }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    return sink_.finish(complete_);
  }

 private:
  static constexpr int fair_share = 64;

  struct slot {
    explicit slot(item_runs& owner) noexcept : runs{owner}, made{&owner.f_, &item} {}
    item_runs& runs;
    kept_item<typename item_source<stored_range>::reference> item;
    call made;
    attempt_slot<call> attempt;  // destroyed before the item that it may refer to
    std::size_t index = 0;
    bool finished = false;
    slot* next = nullptr;         // in the list of free ones, or in the order of the items
    slot* next_of_all = nullptr;  // in the list by which the slots are owned
  };

  static void finished(void* self) noexcept {
    slot& s = *static_cast<slot*>(self);
    item_runs& runs = s.runs;
    runs.ended(s);
    runs.go_on();
  }
  void go_on() noexcept {
    start_more();
    if (!over()) return;
    stop_.unlink();
    k_();
  }
  bool over() const noexcept { return closed_ && window_ == 0 && !posted_; }

  void start_more() noexcept {
    if (posted_) return;
    int in_a_row = 0;
    while (!closed_ && window_ < at_most_) {
      if (stop_.stop_requested()) {
        closed_ = true;
      } else if (in_a_row++ == fair_share) {
        posted_ = true;
        inner_.scheduler->post(*this);
        return;
      } else if (slot* const s = next_item()) {
        if (s->attempt.start(s->made, {&finished, s}, inner_)) ended(*s);
      }
    }
  }

  // The slot of the next item. Null if there is none, or if the range has thrown: then no further one is started.
  slot* next_item() noexcept {
    try {
      if (!source_.next()) {
        closed_ = complete_ = true;
        return nullptr;
      }
      if (free_ == nullptr) {
        free_ = new slot{*this};
        free_->next_of_all = std::exchange(all_, free_);
      }
      free_->item.keep(source_);
    } catch (...) {
      threw(std::current_exception());
      return nullptr;
    }
    slot& s = *std::exchange(free_, free_->next);
    s.index = started_++;
    s.finished = false;
    s.next = nullptr;
    if (sink_.in_order()) {
      *(first_ == nullptr ? &first_ : &last_->next) = &s;
      last_ = &s;
    }
    ++window_;
    return &s;
  }

  void ended(slot& s) noexcept {
    if (!sink_.in_order()) return deliver(s);
    s.finished = true;
    while (first_ != nullptr && first_->finished) deliver(*std::exchange(first_, first_->next));
  }
  void deliver(slot& s) noexcept {
    if (std::exception_ptr e = s.attempt.exception()) {
      threw(std::move(e));
    } else if (!thrown_) {
      try {
        if (!sink_.accept(s.index, take_regular(s.attempt))) close();
      } catch (...) { threw(std::current_exception()); }
    }
    s.attempt.reset();
    s.item.reset();
    s.next = std::exchange(free_, &s);
    --window_;
  }
  void threw(std::exception_ptr e) noexcept {
    if (!thrown_) thrown_ = std::move(e);
    close();
  }
  void close() noexcept {
    if (!closed_) complete_ = false;
    closed_ = true;
    stop_.request_stop();
  }

  F& f_;
  Sink sink_;
  item_source<stored_range> source_;
  int at_most_;
  int window_ = 0;
  bool closed_ = false;    // no further item is started
  bool complete_ = false;  // for the reason that there is none
  bool posted_ = false;
  std::size_t started_ = 0;
  continuation k_;
  context inner_;
  linked_stop_source stop_;
  std::exception_ptr thrown_;
  slot* all_ = nullptr;
  slot* free_ = nullptr;
  slot* first_ = nullptr;  // the earliest item whose result has not been accepted; `last_` is the latest
  slot* last_ = nullptr;
};

/// What `for_each` and `transform` return: an operation. Each start goes through the range from its beginning.
template <class Range, class F, class Sink>
class [[nodiscard("nothing runs until it is awaited: write co_await before it")]] item_operation
    : public has_bounds<item_operation<Range, F, Sink>>,
      public not_awaited<item_operation<Range, F, Sink>, typename Sink::result_type> {
  using run_type = item_runs<Range, F, Sink>;

 public:
  /// Throws `std::invalid_argument` if `at_most` is less than 1.
  template <class From> item_operation(Range&& range, int at_most, From&& f, typename Sink::settings settings)
      : parts_{static_cast<Range&&>(range), F(std::forward<From>(f)), at_most, std::move(settings)} {
    if (at_most < 1) {
      throw std::invalid_argument{
          "again: for_each and transform run at least 1 call at a time: the number given is less"};
    }
  }
  run_type operator()() & { return run_type{parts_}; }
  auto operator co_await() & { return holding_awaiter<run_type>{std::in_place, parts_}; }
  auto operator co_await() && { return holding_awaiter<run_type>{std::in_place, parts_}; }

 private:
  typename run_type::parts parts_;
};

/// Says in one sentence what is wrong with the arguments.
template <class Range, class F> consteval void explain_item_calls() {
  if constexpr (!any_item_range<Range>) {
    static_assert(any_item_range<Range>, "again: for_each and transform want a range first: for_each(urls, 32, f)");
  } else if constexpr (!std::is_invocable_v<F&, item_argument<Range>>) {
    static_assert(std::is_invocable_v<F&, item_argument<Range>>,
                  "again: the function given to for_each or transform takes one item of the range");
  } else {
    static_assert(awaitable<std::invoke_result_t<F&, item_argument<Range>>>,
                  "again: the function given to for_each or transform returns what can be awaited: a task or an "
                  "operation; make a coroutine of it");
  }
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
