// SPDX-License-Identifier: MIT
/// \file
/// `background_check`: looks for damage in a file that is too large to be checked before the store is open. It has a thread and a
/// connection of its own, which only reads, so that the store works meanwhile.
///
/// Owned by the writer. Threads: `finding` from any; the rest from the owner's.
#pragma once

#include <again/core/detail/threads.hpp>
#include <again/journal/error.hpp>
#include <again/sqlite/detail/database.hpp>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

/// Throws sql_failure where the file is damaged.
inline void check_whole(const database& db) {
  statement s{db, "PRAGMA quick_check(1)"};
  if (!s.step()) return;
  if (const std::string found{s.bytes(0)}; found != "ok")
    throw sql_failure{explained(SQLITE_CORRUPT, db.path(), found)};
}

class background_check {
 public:
  /// Throws sql_failure, std::system_error.
  explicit background_check(const std::string& path)
      : db_{path, SQLITE_OPEN_READONLY},
        thread_{[](void* self) noexcept { static_cast<background_check*>(self)->run(); }, this} {}
  background_check(const background_check&) = delete;
  background_check& operator=(const background_check&) = delete;
  ~background_check() {
    ending_.store(true, std::memory_order_relaxed);
    sqlite3_interrupt(db_.raw());
    thread_.join();
  }

  bool over() const noexcept { return over_.load(std::memory_order_acquire); }
  /// The damage that was found; nothing: none so far.
  std::optional<journal::error> finding() const {
    const std::lock_guard lock{mutex_};
    return finding_;
  }

 private:
  void run() noexcept {
    try {
      check_whole(db_);
    } catch (const sql_failure& f) {
      const std::lock_guard lock{mutex_};
      if (!ending_.load(std::memory_order_relaxed)) finding_ = f.why;
    } catch (...) {}  // no memory: it was not checked
    over_.store(true, std::memory_order_release);
  }

  database db_;
  std::atomic<bool> ending_{false}, over_{false};
  mutable std::mutex mutex_;
  std::optional<journal::error> finding_;
  again::detail::thread thread_;  // last: it uses the others
};

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
