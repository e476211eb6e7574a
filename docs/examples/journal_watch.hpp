// SPDX-License-Identifier: MIT
// A journal as pages see it, while a run is over it: its numbers, for /metrics and the status page, and what may be done to its events.
#pragma once

#include "status_control.hpp"

#include <again/core/clock.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/journal/store.hpp>
#include <again/metrics/page.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace programs {

struct journal_numbers {
  std::uint64_t waiting = 0, leased = 0, done = 0, dead = 0;  ///< events
  std::uint64_t store_errors = 0;                             ///< calls of the store that failed
  std::optional<again::wall_time> next_due{};                 ///< of those that wait; as of a second ago at most
};

/// What a run over a journal shows of itself.
class running_journal {
 public:
  running_journal() = default;
  running_journal(const running_journal&) = delete;
  running_journal& operator=(const running_journal&) = delete;
  virtual ~running_journal() = default;

  // Any thread.
  virtual journal_numbers numbers() const = 0;
  virtual void write_to(again::metrics_page& page) const = 0;
  // The loop's.
  virtual again::task<std::optional<again::wall_time>> next_due() = 0;
  /// The events that died last, the latest first; none where the journal cannot tell.
  virtual again::task<std::vector<again::journal::event_record>> latest_dead(std::size_t most) = 0;
  virtual status_control* control() noexcept = 0;  ///< null: events of this journal cannot be changed one by one
};

/// The one that runs now, if any. It comes and goes on the loop's thread; the pages ask on theirs, under the lock, so that it does not go
/// meanwhile.
class journal_watch {
 public:
  /// While it exists, `run` runs.
  class mark {
   public:
    mark(journal_watch* at, running_journal& run) : at_{at} {
      if (at_ != nullptr) at_->set(&run);
    }
    mark(const mark&) = delete;
    mark& operator=(const mark&) = delete;
    ~mark() {
      if (at_ != nullptr) at_->set(nullptr);
    }

   private:
    journal_watch* at_;
  };

  /// Nothing: no run has begun.
  std::optional<journal_numbers> numbers() const {
    const std::lock_guard lock{mutex_};
    return read();
  }
  void write_to(again::metrics_page& page) const {
    const std::lock_guard lock{mutex_};
    if (run_ != nullptr) run_->write_to(page);
    const std::optional<journal_numbers> n = read();
    if (!n) return;
    const auto show = [&page](std::string_view name, std::string_view help, std::uint64_t value,
                              const std::string& labels = {}) {
      again::gauge g;
      g.add(static_cast<std::int64_t>(value));
      page.add(name, help, g, labels);
    };
    for (const auto& [state, events] :
         {std::pair{"waiting", n->waiting}, {"leased", n->leased}, {"done", n->done}, {"dead", n->dead}})
      show("again_journal_events", "Events in the journal, by state.", events, again::metric_label("state", state));
    show("again_journal_oldest_due_age_seconds", "How long the event that is due for longest has waited since then.",
         static_cast<std::uint64_t>(seconds_due(*n, again::system_clocks().wall_now()).count()));
  }
  static std::chrono::seconds seconds_due(const journal_numbers& n, again::wall_time now) {
    const again::duration age = n.next_due ? now - *n.next_due : again::duration::zero();
    return std::chrono::duration_cast<std::chrono::seconds>(std::max(age, again::duration::zero()));
  }

  // The loop's thread.
  running_journal* running() noexcept { return run_; }
  status_control* control() noexcept { return run_ == nullptr ? nullptr : run_->control(); }
  /// Asks once a second when the next event is due, until it is stopped.
  static again::task<> keep_up(journal_watch* at) {
    for (bool on = at != nullptr; on;) {
      if (at->run_ != nullptr) {
        const auto next = co_await at->run_->next_due();
        const std::lock_guard lock{at->mutex_};
        at->next_due_ = next;
      }
      on = co_await again::sleep_for(std::chrono::seconds{1});
    }
  }

 private:
  std::optional<journal_numbers> read() const {
    if (run_ != nullptr) {
      last_ = run_->numbers();
      last_->next_due = next_due_;
    }
    return last_;
  }
  void set(running_journal* run) {
    const std::lock_guard lock{mutex_};
    if (run == nullptr) static_cast<void>(read());
    run_ = run;
  }

  mutable std::mutex mutex_;  // guards all below
  running_journal* run_ = nullptr;
  mutable std::optional<journal_numbers> last_;  // also after the end of the run
  std::optional<again::wall_time> next_due_;
};

/// A run over any store: `Store` is a `journal::store` that counts its events, `Kept` a `durable_sink` over it.
template <class Store, class Kept> class watched_store final : public running_journal, private status_control {
 public:
  watched_store(Store& store, Kept& kept) : store_{store}, kept_{kept} {}

  journal_numbers numbers() const override {
    journal_numbers n;
    n.leased = static_cast<std::uint64_t>(std::max<std::int64_t>(kept_.held(), 0));
    const std::uint64_t unfinished = store_.unfinished();
    n.waiting = unfinished - std::min(unfinished, n.leased);
    if constexpr (requires { store_.done_events(), store_.dead_events(); }) {
      n.done = store_.done_events();
      n.dead = store_.dead_events();
    } else {  // of this run
      n.done = kept_.done();
      n.dead = kept_.dead();
    }
    n.store_errors = kept_.store_errors();
    return n;
  }
  void write_to(again::metrics_page& page) const override { kept_.write_to(page); }
  again::task<std::optional<again::wall_time>> next_due() override {
    auto got = co_await store_.take(0, again::journal::worker_lease{"", std::chrono::seconds{1}});
    if (got) co_return got->next;
    co_return std::nullopt;
  }
  again::task<std::vector<again::journal::event_record>> latest_dead(std::size_t most) override {
    std::vector<again::journal::event_record> out;
    if constexpr (requires { store_.latest_dead(most); }) {
      auto got = co_await store_.latest_dead(most);
      if (got) out = *std::move(got);
    }
    co_return out;
  }
  status_control* control() noexcept override {
    if constexpr (changes_events) {
      return this;
    } else {
      return nullptr;
    }
  }

 private:
  static constexpr bool changes_events = requires(Store& s, std::string id) { s.retry(id), s.discard(id); };

  again::task<std::string> retry(std::string id) override {
    if constexpr (changes_events) {
      auto changed = co_await store_.retry(std::move(id));
      if (!changed) co_return changed.error().text;
      kept_.wake();
    }
    co_return std::string{};
  }
  again::task<std::string> discard(std::string id) override {
    if constexpr (changes_events) {
      auto changed = co_await store_.discard(std::move(id));
      if (!changed) co_return changed.error().text;
    }
    co_return std::string{};
  }

  Store& store_;
  Kept& kept_;
};

}  // namespace programs
