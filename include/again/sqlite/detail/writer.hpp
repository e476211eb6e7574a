// SPDX-License-Identifier: MIT
/// \file
/// `writer`: the thread that reads and writes the journal. All calls that wait become one transaction (group commit), so that they share
/// one sync of the disk. Their results are delivered after the commit, never before.
///
/// Owned by the store and its calls together. Threads: `submit`, `withdraw` and the numbers from any; the connection is the writer's
/// thread's. Lock order: a call's own lock is never held while the writer's is taken.
#pragma once

#include <again/core/detail/intrusive_list.hpp>
#include <again/core/detail/threads.hpp>
#include <again/journal/error.hpp>
#include <again/metrics/counter.hpp>
#include <again/sqlite/detail/event_table.hpp>
#include <again/sqlite/detail/journal_file.hpp>
#include <again/sqlite/detail/store_request.hpp>
#include <again/sqlite/options.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

inline constexpr std::size_t error_kinds = again::detail::enumerators<journal::error_kind>.size();

/// Any thread.
struct writer_numbers {
  counter commits, calls, discarded;
  std::array<counter, error_kinds> errors;
  std::array<gauge, 4> events, bytes;  // by state; unfinished ones at 0
};

class writer {
 public:
  /// Opens the file. Throws sql_failure, std::system_error.
  writer(const std::string& path, const options& o)
      : options_{o}, file_{path, o}, table_{file_.db(), file_.opened() << 32} {
    count_totals();
    thread_.emplace([](void* self) noexcept { static_cast<writer*>(self)->run(); }, this);
  }
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  ~writer() { shut_down(); }

  /// Takes it over. Nothing, or why it does not.
  std::optional<journal::error> submit(store_request& r) {
    const std::lock_guard lock{mutex_};
    if (closing_) return journal::error{journal::error_kind::cancelled, "the store was closed"};
    if (waiting_ >= options_.queue) {
      count(journal::error_kind::shortage);
      return journal::error{journal::error_kind::shortage,
                            "too many calls wait for the disk; append larger batches, and fewer at a time"};
    }
    push(r);
    return std::nullopt;
  }
  /// True: it was not begun, and never will be.
  bool withdraw(store_request& r) noexcept {
    {
      const std::lock_guard lock{mutex_};
      if (!r.queued) return false;
      r.queued = false;
      queue_.remove(r);
      --waiting_;
    }
    r.release();
    return true;
  }
  /// Undoes what the result of a call stands for, which reached nobody.
  void undo(store_request& r) noexcept {
    store_request* const undo = r.undone();
    if (undo == nullptr) return;
    const std::lock_guard lock{mutex_};
    if (!closing_) push(*undo);
    undo->release();
  }

  /// Finishes what waits, and closes the file. The thread that opened it.
  void shut_down() noexcept {
    {
      const std::lock_guard lock{mutex_};
      if (closing_) return;
      closing_ = true;
      wake_.notify_all();
    }
    thread_->join();
  }

  const writer_numbers& numbers() const noexcept { return numbers_; }
  /// Calls that were not begun yet.
  std::size_t waiting() const noexcept {
    const std::lock_guard lock{mutex_};
    return waiting_;
  }
  const options& settings() const noexcept { return options_; }

  /// For requests, on the writer's thread.
  bool beyond(std::uint64_t bytes) {
    return static_cast<std::uint64_t>((number(pages_) - number(unused_)) * page_size_) > bytes;
  }
  void shrink(std::int64_t pages) { file_.db().run("PRAGMA incremental_vacuum(" + std::to_string(pages) + ")"); }

 private:
  using request_list = again::detail::intrusive_list<store_request>;
  static constexpr int most_at_once = 1024;  // calls in a transaction: a stop of the machine undoes no more
  static constexpr std::int64_t discarded_at_once = std::int64_t{2} * most_at_once;  // faster than they can be finished

  // The caller has the lock.
  void push(store_request& r) noexcept {
    r.hold();
    r.queued = true;
    queue_.push(r);
    if (++waiting_ == 1) wake_.notify_all();
  }
  void count(journal::error_kind kind) noexcept { numbers_.errors[static_cast<std::size_t>(kind)].add(); }

  void run() noexcept {
    std::unique_lock lock{mutex_};
    for (;;) {
      wake_.wait(lock, [this] { return !queue_.empty() || closing_; });
      if (queue_.empty()) return;
      request_list batch;
      for (int n = 0; n < most_at_once && !queue_.empty(); ++n) {
        store_request& r = *queue_.pop();
        r.queued = false;
        --waiting_;
        batch.push(r);
      }
      lock.unlock();
      commit(batch);
      deliver(batch);
      tidy();
      lock.lock();
    }
  }

  struct half_done {};
  // All of it at first. Where a call breaks, each has a savepoint, so that this one undoes itself alone: they cost more than the calls.
  void commit(request_list& batch) noexcept {
    try {
      if (!perform(batch, false)) perform(batch, true);
    } catch (const sql_failure& f) { fail(batch, f.why); } catch (const std::bad_alloc&) {
      fail(batch, journal::error{journal::error_kind::shortage});
    }
  }
  static void fail(request_list& batch, const journal::error& why) noexcept {
    for (store_request* r = batch.front(); r != nullptr; r = request_list::after(*r))
      if (!r->broke()) r->fail(why);  // also what was refused in a transaction that was not
  }
  // False: a call broke, and nothing was done. Throws sql_failure: the same, and so it would be once more.
  bool perform(request_list& batch, bool each_alone) {
    bool whole = true;
    try {
      transaction([&] {
        for (store_request* r = batch.front(); r != nullptr && whole; r = request_list::after(*r)) {
          now_ = std::max(now_, r->now);
          if (each_alone)
            perform_alone(*r);
          else if (r->perform(table_); r->broke())
            whole = false;
        }
        if (!whole) throw half_done{};
      });
    } catch (const half_done&) {}
    return whole;
  }
  // Throws sql_failure: nothing of it is stored.
  template <class Body> void transaction(Body body) {
    table_.delta = {};
    const event_table::mark before = table_.here();
    try {
      file_.still_good();
      begin_.finish();
      body();
      table_.flush();
      file_.still_good();
      commit_.finish();
    } catch (...) {
      file_.db().rollback();
      table_.roll_back(before);
      throw;
    }
    table_.settle();
    numbers_.commits.add();
    for (std::size_t state = 0; state < table_.delta.size(); ++state) {
      numbers_.events[state].add(table_.delta[state].events);
      numbers_.bytes[state].add(table_.delta[state].bytes);
    }
  }
  void perform_alone(store_request& r) {
    savepoint_.finish();
    const event_table::mark before = table_.here();
    r.perform(table_);
    if (r.broke()) {
      if (!file_.db().in_transaction()) throw sql_failure{*r.failed()};  // SQLite has given up all of it
      undo_.finish();
      table_.roll_back(before);
    }
    release_.finish();
  }
  void deliver(request_list& batch) noexcept {
    while (store_request* const r = batch.pop()) {
      numbers_.calls.add();
      if (const journal::error* const why = r->failed()) count(why->kind);
      if (!r->deliver()) undo(*r);
      r->release();
    }
  }

  // Discards finished events, as much as was finished meanwhile, or all that there is to do where nothing waits.
  void tidy() noexcept {
    if (now_ < next_tidy_ && !over_bytes()) return;
    try {
      for (;;) {
        std::int64_t discarded = 0;
        transaction([&] { discarded = table_.discard(options_, now_, discarded_at_once); });
        numbers_.discarded.add(static_cast<std::uint64_t>(discarded));
        const std::int64_t unused = number(unused_);
        const std::int64_t kept = std::max<std::int64_t>(256, number(pages_) / 4);  // for the next events
        if (unused > kept) shrink(std::min<std::int64_t>(unused - kept, 4096));
        if (discarded < discarded_at_once) next_tidy_ = journal::later_by(now_, std::chrono::seconds{1});
        if (discarded < discarded_at_once || something_waits()) return;
      }
    } catch (const sql_failure& f) {
      count(f.why.kind);
      next_tidy_ = journal::later_by(now_, std::chrono::seconds{1});
    } catch (const std::bad_alloc&) { count(journal::error_kind::shortage); }
  }
  bool over_bytes() const noexcept {
    const auto over = [this](journal::event_state s, const retention& keep) {
      const std::int64_t bytes = numbers_.bytes[static_cast<std::size_t>(s)].value();
      return bytes > 0 && static_cast<std::uint64_t>(bytes) > keep.bytes;
    };
    return over(event_state::done, options_.done) || over(event_state::dead, options_.dead);
  }
  bool something_waits() noexcept {
    const std::lock_guard lock{mutex_};
    return !queue_.empty() || closing_;
  }
  static std::int64_t number(statement& s) {
    const reset_after end{s};
    return s.step() ? s.number(0) : 0;
  }
  void count_totals() {
    statement s{file_.db(), "SELECT state, events, bytes FROM totals"};
    while (s.step()) {
      const auto state = static_cast<std::size_t>(s.small(0));
      if (state >= numbers_.events.size()) continue;
      numbers_.events[state].add(s.number(1));
      numbers_.bytes[state].add(s.number(2));
    }
  }

  const options options_;
  journal_file file_;
  event_table table_;
  statement begin_{file_.db(), "BEGIN IMMEDIATE"}, commit_{file_.db(), "COMMIT"};
  statement savepoint_{file_.db(), "SAVEPOINT one"}, release_{file_.db(), "RELEASE one"},
      undo_{file_.db(), "ROLLBACK TO one"};
  statement pages_{file_.db(), "PRAGMA page_count"}, unused_{file_.db(), "PRAGMA freelist_count"};
  const std::int64_t page_size_ = number_of(file_.db(), "PRAGMA page_size");
  wall_time now_{}, next_tidy_{};  // the latest time that a call brought; the writer's thread
  writer_numbers numbers_;
  // Under the mutex.
  mutable std::mutex mutex_;
  again::detail::condition_variable wake_;
  request_list queue_;
  std::size_t waiting_ = 0;
  bool closing_ = false;
  std::optional<again::detail::thread> thread_;  // last: it uses the others
};

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
