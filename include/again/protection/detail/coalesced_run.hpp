// SPDX-License-Identifier: MIT
/// \file
/// One caller of `coalesce`, and the call that callers share.
///
/// The call is on the heap: whoever began it may be gone while others wait. It is owned by its callers together, which stand
/// in its list: the last one that is destroyed frees it, and so does its end. It is in the group's map as long as it can be
/// joined.
///
/// Everything runs on one scheduler's thread.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/core/detail/intrusive_list.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/stoppable_wait.hpp>
#include <again/coro/operation.hpp>
#include <again/policy/failure.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

template <class Key, expected_result Result, class Hash> class coalescer;

namespace detail {

/// What the callers get.
template <class Result> using coalesced_result =
    expected<typename expected_parts<Result>::value, failure<merged_error_t<typename expected_parts<Result>::error>>>;

template <class Result> class shared_call;

/// A caller, as its call sees it.
template <class Result> struct coalesced_caller {
  coalesced_caller* next = nullptr;
  coalesced_caller* previous = nullptr;
  shared_call<Result>* call = nullptr;  // null: it is over, or was left
  std::size_t* in_group = nullptr;      // how many callers the group has
  std::optional<coalesced_result<Result>> result{};
  std::exception_ptr thrown{};
  stoppable_wait wait{};

  void left() noexcept {
    call = nullptr;
    --*in_group;
  }
};

/// A call, whatever its operation.
template <class Result> class shared_call {
 public:
  shared_call(const shared_call&) = delete;
  shared_call& operator=(const shared_call&) = delete;
  virtual ~shared_call() = default;

  intrusive_list<coalesced_caller<Result>> callers;
  inplace_stop_source stop;
  void (*leave_map)(shared_call&) noexcept = nullptr;  // null: it cannot be joined any more

 protected:
  shared_call() = default;
};

template <class Key, class Result, class Hash, class Op> struct coalesced_parts {
  coalescer<Key, Result, Hash>* group;
  Key key;
  Op op;
};

template <class Key, class Result, class Hash, class Op>
class [[nodiscard]] coalesced_run : coalesced_caller<Result> {
  using caller = coalesced_caller<Result>;
  using group = coalescer<Key, Result, Hash>;
  using parts = coalesced_parts<Key, Result, Hash, Op>;

 public:
  using result_type = coalesced_result<Result>;

  explicit coalesced_run(parts& p) noexcept : parts_{p} {}
  coalesced_run(const coalesced_run&) = delete;
  coalesced_run& operator=(const coalesced_run&) = delete;
  ~coalesced_run() {
    if (this->call == nullptr) return;
    shared_call<Result>* const mine = this->call;
    leave();
    if (mine->callers.empty()) delete mine;
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<coalesced_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    context_ = &ctx;
    began_ = ctx.scheduler->last_wake();
    if (ctx.stop.stop_requested()) {
      this->result.emplace(unexpect,
                           not_sent<error>(stopped_now(ctx, stop_reason::cancelled_before_start), duration::zero()));
      return true;
    }
    try {
      group& g = *parts_.group;
      if (g.callers_ != 0 && g.home_ != ctx.scheduler) {
        throw std::logic_error{
            "again::coalesce: the callers of a coalescer are on one scheduler; have a coalescer for each loop"};
      }
      g.home_ = ctx.scheduler;
      const auto found = g.running_.find(parts_.key);
      if (found == g.running_.end()) return begin();
      join(*found->second);
      ++g.joined_;
    } catch (...) {
      this->thrown = std::current_exception();
      return true;
    }
    return false;
  }
  std::exception_ptr exception() noexcept { return this->thrown; }
  result_type take() {
    if (this->thrown) std::rethrow_exception(this->thrown);
    return std::move(*this->result);
  }

 private:
  using error = typename expected_parts<Result>::error;

  /// A call of an `Op`.
  class call_of final : public shared_call<Result> {
   public:
    call_of(group& g, const Key& key, const Op& op, const context& first)
        : group_{g}, op_(op), entry_{g.running_.emplace(key, this).first} {
      this->leave_map = [](shared_call<Result>& self) noexcept {
        call_of& mine = static_cast<call_of&>(self);
        mine.leave_map = nullptr;
        mine.group_.running_.erase(mine.entry_);
      };
      context_.scheduler = first.scheduler;
      context_.repeated = first.repeated;
      context_.stop = this->stop.get_token();
      began_ = first.scheduler->last_wake();
    }
    call_of(const call_of&) = delete;
    call_of& operator=(const call_of&) = delete;
    ~call_of() override {
      if (this->leave_map != nullptr) this->leave_map(*this);
    }

    /// True: it has finished.
    bool start() noexcept {
      return attempt_.start(op_, {[](void* self) noexcept { static_cast<call_of*>(self)->finished(); }, this},
                            context_);
    }
    /// Gives the end to all callers, and frees the call. `now`: the caller that goes on without being woken, or null.
    void hand_out(caller* now) noexcept {
      std::optional<result_type> result;
      std::exception_ptr thrown = attempt_.exception();
      try {
        if (!thrown) result.emplace(widened(attempt_.take()));
      } catch (...) { thrown = std::current_exception(); }
      while (caller* const c = this->callers.pop()) {
        c->left();
        c->thrown = thrown;
        try {
          if (result && !this->callers.empty()) {
            c->result.emplace(*result);
          } else if (result) {
            c->result.emplace(std::move(*result));
          }
        } catch (...) { c->thrown = std::current_exception(); }
        if (c != now) c->wait.call();
      }
      delete this;
    }

   private:
    void finished() noexcept { hand_out(nullptr); }
    result_type widened(Result&& r) {
      if constexpr (std::is_same_v<Result, result_type>) {
        return std::move(r);
      } else {
        if (!r.has_value()) {
          const verdict v = verdict_of(r.error());
          const time_point now = context_.scheduler->now();
          const stop_reason why = ended_by(v, now, context_);
          return result_type{unexpect, sent_once(std::move(r).error(), v, why, now - began_)};
        }
        if constexpr (std::is_void_v<typename Result::value_type>) {
          return result_type{};
        } else {
          return result_type{std::move(*r)};
        }
      }
    }

    group& group_;
    Op op_;
    typename decltype(group::running_)::iterator entry_;  // last of those that may throw
    context context_;
    time_point began_{};
    attempt_slot<Op> attempt_;  // last: it ends before what it refers to
  };

  bool begin() {
    call_of* const mine = new call_of{*parts_.group, parts_.key, parts_.op, *context_};
    ++parts_.group->begun_;
    enter(*mine);
    if (mine->start()) {
      mine->hand_out(this);
      return true;
    }
    wait_for_end(true);
    return false;
  }
  void join(shared_call<Result>& running) noexcept {
    enter(running);
    wait_for_end(true);
  }
  void enter(shared_call<Result>& running) noexcept {
    this->call = &running;
    this->in_group = &parts_.group->callers_;
    running.callers.push(*this);
    ++*this->in_group;
  }
  void wait_for_end(bool stoppable) noexcept {
    this->wait.begin(*context_, never, {[](void* self) noexcept { static_cast<coalesced_run*>(self)->woken(); }, this},
                     stoppable);
  }
  void woken() noexcept {
    if (this->wait.ended() == wait_end::called) return k_();
    // Stop was requested of this caller.
    shared_call<Result>& running = *this->call;
    if (running.callers.front() == this && intrusive_list<caller>::after(*this) == nullptr) {
      if (running.leave_map != nullptr) running.leave_map(running);
      wait_for_end(false);
      running.stop.request_stop();
      return;
    }
    leave();
    failure<merged_error_t<error>> f{std::in_place};
    f.details().reason = stopped_now(*context_, stop_reason::cancelled_in_attempt);
    f.details().elapsed = context_->scheduler->now() - began_;
    f.details().farthest = reach::maybe_sent;
    this->result.emplace(unexpect, std::move(f));
    k_();
  }
  void leave() noexcept {
    this->call->callers.remove(*this);
    this->left();
  }

  parts& parts_;
  continuation k_;
  const context* context_ = nullptr;
  time_point began_{};
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
