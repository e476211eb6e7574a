// SPDX-License-Identifier: MIT
/// \file
/// `journal::memory_store`: a store in memory, for tests: of a sink, and of your program when its store fails. It keeps nothing.
///
/// ```cpp
/// again::journal::memory_store store;
/// store.fail(again::journal::store_call::done, 2, again::journal::error_kind::unreachable);   // the next two
/// store.delay(50ms);                                   // each call takes that long; under `virtual_clock` no time at all
/// store.crash();                                       // leases are forgotten, calls under way are cut off
/// ```
///
/// - Promises, errors, cancellation: those of `journal::store`. A call without a delay finishes at once.
/// - Thread: one. Lifetime: it outlives its calls.
/// - Cost: `take` looks at every event.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/stoppable_wait.hpp>
#include <again/journal/detail/memory_model.hpp>
#include <again/journal/endpoint_store.hpp>
#include <again/journal/store.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {

/// The members of a store.
enum class store_call : std::uint8_t { append, take, extend, later, done, dead, find, endpoints, put };
inline constexpr std::size_t store_calls = 9;

class memory_store {
 public:
  /// One call: a startable.
  template <class T> class call;

  memory_store() = default;
  memory_store(const memory_store&) = delete;
  memory_store& operator=(const memory_store&) = delete;

  call<acknowledged> append(std::vector<new_event> events);
  call<taken> take(std::size_t n, worker_lease lease);
  call<std::vector<claim>> extend(std::vector<extension> extensions, duration span);
  call<void> later(claim c, wall_time due, progress so_far);
  call<void> done(claim c, result how);
  call<void> dead(claim c, result how);
  call<std::optional<event_record>> find(std::string id);
  call<std::vector<endpoint_record>> endpoints();
  call<std::uint64_t> put(endpoint_record r);

  /// The next `times` calls of `which` fail. `applied`: they take effect, and only the way back is cut off.
  void fail(store_call which, int times, error_kind kind, bool applied = false) {
    faults_[place(which)] = {times, kind, applied};
  }
  /// All calls fail, until `mend`.
  void fail_all(error_kind kind) {
    for (fault& f : faults_) f = {-1, kind, false};
  }
  void mend() { faults_.fill({}); }
  /// Each call begins after this time.
  void delay(duration_with_unit by) { delay_ = by; }
  /// The end of all workers: leases are forgotten, and calls that wait for their delay fail without effect.
  void crash() {
    ++life_;
    model_.forget_leases();
  }
  /// Unfinished events at most; further ones are refused: `full`.
  void bound(std::size_t most) { model_.most = most; }

  std::size_t count(event_state s) const noexcept { return model_.count(s); }
  /// Calls that were begun, those that failed included.
  int calls(store_call which) const noexcept { return made_[place(which)]; }
  /// All records by the order of their arrival.
  const auto& records() const noexcept { return model_.records(); }

 private:
  struct fault {
    int left = 0;  // negative: without end
    error_kind kind{};
    bool applied = false;
  };
  static constexpr std::size_t place(store_call which) noexcept { return static_cast<std::size_t>(which); }

  template <class T>
  stored_result<T> perform(store_call which, std::uint64_t life, const std::function<stored_result<T>()>& effect) {
    ++made_[place(which)];
    const auto failed = [](error_kind kind, const char* text) { return stored_result<T>{unexpect, error{kind, text}}; };
    if (life != life_) return failed(error_kind::unreachable, "the store has crashed");
    fault& f = faults_[place(which)];
    if (f.left == 0) return effect();
    if (f.left > 0) --f.left;
    if (f.applied) static_cast<void>(effect());
    return failed(f.kind, "as the test wants it");
  }

  detail::memory_model model_;
  std::array<fault, store_calls> faults_{};
  std::array<int, store_calls> made_{};
  duration delay_{};
  std::uint64_t life_ = 0;
};

template <class T> class [[nodiscard]] memory_store::call {
 public:
  using result_type = stored_result<T>;
  using effect = std::function<result_type(wall_time)>;

  call(memory_store& of, store_call which, effect f) : of_{of}, which_{which}, effect_{std::move(f)} {}
  call(const call&) = delete;
  call& operator=(const call&) = delete;
  ~call() = default;
  [[nodiscard]] auto operator co_await() && noexcept { return again::detail::startable_awaiter<call>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    context_ = &ctx;
    life_ = of_.life_;
    if (ctx.stop.stop_requested()) {
      cancelled();
      return true;
    }
    if (of_.delay_ <= duration::zero()) {
      perform();
      return true;
    }
    k_ = k;
    const continuation over{[](void* self) noexcept { static_cast<call*>(self)->waited(); }, this};
    wait_.begin(ctx, saturating_add(ctx.scheduler->now(), of_.delay_), over);
    return false;
  }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    return std::move(*result_);
  }
  std::exception_ptr exception() noexcept { return thrown_; }

 private:
  void cancelled() noexcept { result_.emplace(unexpect, error{error_kind::cancelled, "stopped before it began"}); }
  void perform() noexcept {
    try {
      result_.emplace(of_.perform<T>(which_, life_, [this] { return effect_(context_->scheduler->wall_now()); }));
    } catch (...) { thrown_ = std::current_exception(); }
  }
  void waited() noexcept {
    if (wait_.ended() == again::detail::wait_end::stopped) {
      cancelled();
    } else {
      perform();
    }
    k_();
  }

  memory_store& of_;
  store_call which_;
  effect effect_;
  std::uint64_t life_ = 0;
  const context* context_ = nullptr;
  continuation k_;
  std::optional<result_type> result_;
  std::exception_ptr thrown_;
  again::detail::stoppable_wait wait_;
};

inline memory_store::call<acknowledged> memory_store::append(std::vector<new_event> events) {
  return {*this, store_call::append, [this, e = std::move(events)](wall_time now) { return model_.append(e, now); }};
}
inline memory_store::call<taken> memory_store::take(std::size_t n, worker_lease lease) {
  return {*this, store_call::take, [this, n, l = std::move(lease)](wall_time now) { return model_.take(n, l, now); }};
}
inline memory_store::call<std::vector<claim>> memory_store::extend(std::vector<extension> extensions, duration span) {
  return {*this, store_call::extend,
          [this, e = std::move(extensions), span](wall_time now) { return model_.extend(e, span, now); }};
}
inline memory_store::call<void> memory_store::later(claim c, wall_time due, progress so_far) {
  return {*this, store_call::later,
          [this, c = std::move(c), due, p = std::move(so_far)](wall_time) { return model_.later(c, due, p); }};
}
inline memory_store::call<void> memory_store::done(claim c, result how) {
  return {*this, store_call::done, [this, c = std::move(c), r = std::move(how)](wall_time now) {
            return model_.finish(c, event_state::done, r, now);
          }};
}
inline memory_store::call<void> memory_store::dead(claim c, result how) {
  return {*this, store_call::dead, [this, c = std::move(c), r = std::move(how)](wall_time now) {
            return model_.finish(c, event_state::dead, r, now);
          }};
}
inline memory_store::call<std::optional<event_record>> memory_store::find(std::string id) {
  return {*this, store_call::find, [this, id = std::move(id)](wall_time) { return model_.find(id); }};
}
inline memory_store::call<std::vector<endpoint_record>> memory_store::endpoints() {
  return {*this, store_call::endpoints,
          [this](wall_time) -> stored_result<std::vector<endpoint_record>> { return model_.endpoints(); }};
}
inline memory_store::call<std::uint64_t> memory_store::put(endpoint_record r) {
  return {*this, store_call::put,
          [this, r = std::move(r)](wall_time now) -> stored_result<std::uint64_t> { return model_.put(r, now); }};
}
static_assert(store<memory_store> && endpoint_store<memory_store>);

}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
