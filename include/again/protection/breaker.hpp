// SPDX-License-Identifier: MIT
/// \file
/// `breaker`, a circuit breaker: stops sending to a peer that keeps failing, and lets a few probes find out when it is back.
///
/// ```cpp
/// again::breaker quotes{{.consecutive = 5, .open_for = 5s}};                       // one for each peer, shared by all its callers
/// auto a = co_await again::retry(polite, api.get("/quote")).breaker(quotes);       // waits for the probe if that fits
/// auto b = co_await again::guard(quotes, api.get("/quote"));                       // fails at once while it is open
/// ```
///
/// - It opens after `consecutive` failures in a row, or when `rate` of at least `least` calls in `window` failed; after a break
///   that grows it is half open: `probes` calls pass; if all succeed it closes, if one fails it opens again.
/// - A failure is what the verdict calls transient, unsafe to repeat or forbidden. A permanent error in a response is a success:
///   the peer is alive. A call that our own stop cut short counts as neither, and so does one that was never sent.
/// - An outcome counts only in the state in which its call was let through: one from before the break neither closes nor opens
///   anything.
/// - A refused caller learns when to ask again: the end of the break; while probes are out, `open_for` from now.
/// - Time is passed in; no clock is read. Threads: all members from any thread. Lifetime: outlives its users; not copied.
/// - Cost: while closed with no recent failure and no `rate`: one atomic load to let through and one for the success; else an
///   uncontended mutex.
#pragma once

#include <again/core/clock.hpp>
#include <again/policy/verdict.hpp>
#include <again/protection/breaker_rules.hpp>
#include <again/protection/detail/breaker_machine.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// A change of state, as observers see it.
struct breaker_change {
  breaker_state from{};
  breaker_state to{};
  time_point at{};
  time_point until{};        ///< to open: when it will let a probe through
  std::uint64_t number = 0;  ///< counts the changes from 1: observers on several threads can order them
};

/// What the outcome of a call says about the peer: it is well, it is not, or nothing.
enum class breaker_outcome : std::uint8_t { good, bad, nothing };
constexpr breaker_outcome breaker_outcome_of(const verdict& v, bool timed_out) noexcept {
  switch (v.kind) {
    case disposition::transient:
    case disposition::not_replayable:
    case disposition::forbidden: return breaker_outcome::bad;
    case disposition::permanent: return v.reach == reach::answered ? breaker_outcome::good : breaker_outcome::nothing;
    case disposition::aborted: return timed_out ? breaker_outcome::bad : breaker_outcome::nothing;
  }
  return breaker_outcome::nothing;
}

/// A circuit breaker, shared by all callers of one peer.
class breaker {
 public:
  breaker() : breaker{breaker_rules{}} {}
  /// Throws `std::invalid_argument` for rules that make no sense.
  explicit breaker(const breaker_rules& rules) : machine_{rules} { publish(); }
  breaker(const breaker&) = delete;
  breaker& operator=(const breaker&) = delete;
  ~breaker() = default;

  class permit;
  class call;

  /// Asks for admission of one call. The permit is false if it is refused.
  permit admit(time_point now) noexcept;

  /// Manual control. `trip` opens it as after a failure, `isolate` refuses every call until `close`, `close` lets every call
  /// pass.
  void trip(time_point now) noexcept {
    change(now, [now](detail::breaker_machine& m) { m.trip(now); });
  }
  void isolate(time_point now) noexcept {
    change(now, [](detail::breaker_machine& m) { m.isolate(); });
  }
  void close(time_point now) noexcept {
    change(now, [](detail::breaker_machine& m) { m.close(); });
  }

  /// The current state. An open breaker becomes half open only when a call asks for admission after the break.
  breaker_state state() const noexcept {
    const std::lock_guard lock{mutex_};
    return machine_.state();
  }
  /// If it is open: when it will let a probe through.
  time_point until() const noexcept {
    const std::lock_guard lock{mutex_};
    return machine_.until();
  }
  /// The number of changes of state, and of refused calls, since construction.
  std::uint64_t changes() const noexcept {
    const std::lock_guard lock{mutex_};
    return changes_;
  }
  std::uint64_t refused() const noexcept {
    const std::lock_guard lock{mutex_};
    return refused_;
  }

  /// `see(const breaker_change&)`, which must not throw, is called after every change, on the thread that made it, with no lock
  /// held. `see` outlives the breaker's use; one at a time; to be set before the breaker is shared.
  template <class F> void observe(F& see) noexcept {
    observer_ = &see;
    tell_ = [](void* f, const breaker_change& c) noexcept { (*static_cast<F*>(f))(c); };
  }

 private:
  static constexpr std::uint64_t quiet = 1;
  bool quiet_in(std::uint64_t epoch) const noexcept {
    return snapshot_.load(std::memory_order_acquire) == (epoch << 1 | quiet);
  }
  void publish() noexcept {
    snapshot_.store(machine_.epoch() << 1 | (machine_.quiet() ? quiet : 0), std::memory_order_release);
  }
  // Applies `event` to the machine, then tells the observer of a change of state.
  template <class Event> void change(time_point now, Event event) noexcept {
    breaker_change made;
    {
      const std::lock_guard lock{mutex_};
      const std::uint64_t before = machine_.epoch();
      made.from = machine_.state();
      event(machine_);
      publish();
      if (machine_.epoch() == before || machine_.state() == made.from) return;
      made = {made.from, machine_.state(), now, machine_.until(), ++changes_};
    }
    if (tell_ != nullptr) tell_(observer_, made);
  }

  mutable std::mutex mutex_;
  detail::breaker_machine machine_;         // guarded by mutex_
  std::uint64_t changes_ = 0;               // guarded by mutex_
  std::uint64_t refused_ = 0;               // guarded by mutex_
  std::atomic<std::uint64_t> snapshot_{0};  // the epoch, and whether all is quiet in it
  void* observer_ = nullptr;
  void (*tell_)(void*, const breaker_change&) noexcept = nullptr;
};

/// Permission for one call. Report the outcome once. If none was reported, the destructor frees the probe's place.
class [[nodiscard]] breaker::permit {
 public:
  permit() noexcept = default;
  permit(permit&& other) noexcept
      : from_{std::exchange(other.from_, nullptr)}, epoch_{other.epoch_}, ask_at_{other.ask_at_} {}
  permit& operator=(permit&& other) noexcept {
    if (this != &other) {
      abandon();
      from_ = std::exchange(other.from_, nullptr);
      epoch_ = other.epoch_;
      ask_at_ = other.ask_at_;
    }
    return *this;
  }
  ~permit() { abandon(); }

  explicit operator bool() const noexcept { return from_ != nullptr; }
  /// If it was refused: when to ask again; `never` if only `close()` lets calls pass again.
  time_point ask_at() const noexcept { return ask_at_; }

  void succeeded(time_point now) noexcept {
    if (succeeded_if_quiet()) return;
    if (breaker* const b = std::exchange(from_, nullptr))
      b->change(now, [this, now](detail::breaker_machine& m) { m.succeeded(epoch_, now); });
  }
  /// Reports a success without the time, if a success changes nothing now. Returns false if it does; then call `succeeded`.
  bool succeeded_if_quiet() noexcept {
    if (from_ == nullptr || !from_->quiet_in(epoch_)) return false;
    from_ = nullptr;
    return true;
  }
  void failed(time_point now) noexcept {
    if (breaker* const b = std::exchange(from_, nullptr))
      b->change(now, [this, now](detail::breaker_machine& m) { m.failed(epoch_, now); });
  }
  /// Reports that the outcome says nothing about the peer.
  void abandon() noexcept {
    if (breaker* const b = std::exchange(from_, nullptr)) {
      const std::lock_guard lock{b->mutex_};
      b->machine_.abandoned(epoch_);
    }
  }

 private:
  friend class breaker;
  breaker* from_ = nullptr;
  std::uint64_t epoch_ = 0;
  time_point ask_at_{};
};

/// The attempts of one call at a breaker: `retry` and `guard` hold one.
class breaker::call {
 public:
  explicit call(breaker& shared) noexcept : shared_{shared} {}
  explicit call(breaker* shared) noexcept : shared_{*shared} {}

  bool admit(time_point now) noexcept {
    permit_ = shared_.admit(now);
    return static_cast<bool>(permit_);
  }
  time_point ask_at() const noexcept { return permit_.ask_at(); }
  void failed(time_point now, const verdict& v, bool timed_out) noexcept {
    switch (breaker_outcome_of(v, timed_out)) {
      case breaker_outcome::good: permit_.succeeded(now); break;
      case breaker_outcome::bad: permit_.failed(now); break;
      case breaker_outcome::nothing: permit_.abandon(); break;
    }
  }
  void succeeded(time_point now) noexcept { permit_.succeeded(now); }
  bool succeeded_if_quiet() noexcept { return permit_.succeeded_if_quiet(); }
  void abandon() noexcept { permit_.abandon(); }

 private:
  breaker& shared_;
  permit permit_;
};

inline breaker::permit breaker::admit(time_point now) noexcept {
  permit p;
  const std::uint64_t seen = snapshot_.load(std::memory_order_acquire);
  if ((seen & quiet) != 0) {
    p.from_ = this;
    p.epoch_ = seen >> 1;
    return p;
  }
  change(now, [&](detail::breaker_machine& m) {
    const auto a = m.admit(now);
    p.epoch_ = a.epoch;
    if (a.admitted) {
      p.from_ = this;
    } else {
      p.ask_at_ = a.ask_at;
      ++refused_;
    }
  });
  return p;
}

}  // namespace AGAIN_ABI
}  // namespace again
