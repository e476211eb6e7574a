// SPDX-License-Identifier: MIT
/// \file
/// `worker`: the store's thread. All calls of a kind that wait are made in one exchange with the servers.
///
/// Owned by the store and its calls together. Threads: `submit`, `withdraw`, `undo` and the numbers from any; the connection, the leases and
/// everything else of `streams_` are the worker's thread's, from the constructor's end until `shut_down` has joined it. The library's own
/// threads touch nothing of ours: see connection.hpp. Lock order: a call's own lock is never held while the worker's is taken.
#pragma once

#include <again/core/detail/intrusive_list.hpp>
#include <again/core/detail/threads.hpp>
#include <again/journal/error.hpp>
#include <again/metrics/counter.hpp>
#include <again/nats/detail/journal_streams.hpp>
#include <again/nats/detail/store_call.hpp>
#include <again/nats/options.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <optional>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

class worker {
 public:
  /// Connects. Throws nats_failure, std::system_error.
  explicit worker(const options& o) : options_{o}, streams_{options_} {
    thread_.emplace([](void* self) noexcept { static_cast<worker*>(self)->run(); }, this);
  }
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;
  ~worker() { shut_down(); }

  /// Takes it over. Nothing, or why it does not.
  std::optional<journal::error> submit(store_call& c) {
    const std::lock_guard lock{mutex_};
    if (closing_) return journal::error{journal::error_kind::cancelled, "the store was closed"};
    if (waiting_ >= options_.queue) {
      count(journal::error_kind::shortage);
      return journal::error{journal::error_kind::shortage,
                            "too many calls wait for the servers; append larger batches, and fewer at a time"};
    }
    push(c);
    return std::nullopt;
  }
  /// True: it was not begun, and never will be.
  bool withdraw(store_call& c) noexcept {
    {
      const std::lock_guard lock{mutex_};
      if (!c.queued) return false;
      c.queued = false;
      queue_.remove(c);
      --waiting_;
    }
    c.release();
    return true;
  }
  /// Gives the events back that a call has leased and that reached nobody.
  void undo(store_call& c) noexcept {
    std::vector<journal::event_record> events = c.unclaimed();
    if (events.empty()) return;
    const std::lock_guard lock{mutex_};
    if (closing_) return;
    try {
      unclaimed_.push_back(std::move(events));
    } catch (const std::bad_alloc&) { return; }  // their leases end by themselves
    wake_.notify_all();
  }

  /// Finishes what waits, and closes the connection. The thread that opened it.
  void shut_down() noexcept {
    {
      const std::lock_guard lock{mutex_};
      if (closing_) return;
      closing_ = true;
      wake_.notify_all();
    }
    thread_->join();
  }

  std::uint64_t unfinished() const noexcept { return streams_.unfinished(); }
  std::uint64_t calls() const noexcept { return calls_.value(); }
  std::uint64_t errors(journal::error_kind kind) const noexcept {
    return errors_[static_cast<std::size_t>(kind)].value();
  }

 private:
  using call_list = again::detail::intrusive_list<store_call>;
  static constexpr int most_at_once = 1024;

  // The caller has the lock.
  void push(store_call& c) noexcept {
    c.hold();
    c.queued = true;
    queue_.push(c);
    if (++waiting_ == 1) wake_.notify_all();
  }
  void count(journal::error_kind kind) noexcept { errors_[static_cast<std::size_t>(kind)].add(); }

  void run() noexcept {
    std::unique_lock lock{mutex_};
    for (;;) {
      wake_.wait(lock, [this] { return !queue_.empty() || !unclaimed_.empty() || closing_; });
      if (queue_.empty() && unclaimed_.empty()) return;
      call_list batch;
      for (int n = 0; n < most_at_once && !queue_.empty(); ++n) {
        store_call& c = *queue_.pop();
        c.queued = false;
        --waiting_;
        batch.push(c);
      }
      const auto unclaimed = std::exchange(unclaimed_, {});
      lock.unlock();
      for (const auto& events : unclaimed) guarded([&] { streams_.give_back(events); });
      perform(batch);
      deliver(batch);
      lock.lock();
    }
  }
  // Ends come first: they make room, and let the next event of a key be taken.
  void perform(call_list& batch) noexcept {
    each_of<end_call>(batch, call_kind::end, [this](const auto& all) { streams_.end(all); });
    each_of<append_call>(batch, call_kind::append, [this](const auto& all) { streams_.append(all); });
    for (store_call* c = batch.front(); c != nullptr; c = call_list::after(*c)) {
      if (c->ended()) continue;
      fail_unless_done(*c, [this, c] {
        switch (c->kind) {
          case call_kind::extend: return streams_.extend(static_cast<extend_call&>(*c));
          case call_kind::take: return streams_.take(static_cast<take_call&>(*c));
          case call_kind::find: return streams_.find(static_cast<find_call&>(*c));
          case call_kind::endpoints: return streams_.endpoints(static_cast<endpoints_call&>(*c));
          case call_kind::put: return streams_.put(static_cast<put_call&>(*c));
          case call_kind::append:
          case call_kind::end: return;
        }
      });
    }
  }
  template <class Call, class Do> void each_of(call_list& batch, call_kind kind, Do perform_all) noexcept {
    std::vector<Call*> all;
    const auto why = guarded([&] {
      for (store_call* c = batch.front(); c != nullptr; c = call_list::after(*c))
        if (c->kind == kind) all.push_back(static_cast<Call*>(c));
      if (!all.empty()) perform_all(all);
    });
    if (!why) return;
    for (store_call* c = batch.front(); c != nullptr; c = call_list::after(*c))
      if (c->kind == kind && !c->ended()) c->fail(*why);
  }
  template <class Do> void fail_unless_done(store_call& c, Do perform_it) noexcept {
    if (const auto why = guarded(perform_it)) c.fail(*why);
  }
  // Why it could not be done.
  template <class Do> std::optional<journal::error> guarded(Do perform_it) noexcept {
    try {
      streams_.ready();
      perform_it();
      return std::nullopt;
    } catch (const nats_failure& f) { return f.why; } catch (const std::bad_alloc&) {
      return journal::error{journal::error_kind::shortage};
    }
  }
  void deliver(call_list& batch) noexcept {
    while (store_call* const c = batch.pop()) {
      calls_.add();
      if (const journal::error* const why = c->failed()) count(why->kind);
      if (!c->deliver()) undo(*c);
      c->release();
    }
  }

  const options options_;
  journal_streams streams_;
  counter calls_;
  std::array<counter, again::detail::enumerators<journal::error_kind>.size()> errors_;
  // Under the mutex.
  mutable std::mutex mutex_;
  again::detail::condition_variable wake_;
  call_list queue_;
  std::vector<std::vector<journal::event_record>> unclaimed_;
  std::size_t waiting_ = 0;
  bool closing_ = false;
  std::optional<again::detail::thread> thread_;  // last: it uses the others
};

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
