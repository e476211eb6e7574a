// SPDX-License-Identifier: MIT
/// \file
/// `journal_file`: the file of a journal, from its path to an open, checked connection that no other process has. One thread at a time.
///
/// What is checked before it is open: that the file is a journal of a version that we know, that SQLite can read its log, and, of a file up
/// to `check_first`, every page. A torn write after a crash is none of that: each frame of the log has a checksum, and SQLite drops what is
/// torn, which was never acknowledged.
#pragma once

#include <again/journal/error.hpp>
#include <again/sqlite/detail/background_check.hpp>
#include <again/sqlite/detail/database.hpp>
#include <again/sqlite/detail/process_lock.hpp>
#include <again/sqlite/detail/schema.hpp>
#include <again/sqlite/options.hpp>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

/// The folder of a path, with the slash.
inline std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "./" : path.substr(0, slash + 1);
}

/// The path without links, so that all names of a file have one lock. Throws sql_failure.
inline std::string resolved(const std::string& path) {
  if (path.empty() || path.back() == '/')
    throw sql_failure{journal::error{journal::error_kind::unreachable, "'" + path + "' names no file; name one"}};
  std::array<char, PATH_MAX> whole{};
  if (::realpath(path.c_str(), whole.data()) != nullptr) {
    struct stat about{};
    if (::stat(whole.data(), &about) != 0 || !S_ISDIR(about.st_mode)) return whole.data();
    throw sql_failure{journal::error{journal::error_kind::unreachable, path + ": is a folder; name a file in it"}};
  }
  const std::string folder = folder_of(path);
  if (errno == ENOENT && ::realpath(folder.c_str(), whole.data()) != nullptr)
    return std::string{whole.data()} + '/' + path.substr(path.rfind('/') + 1);
  const int why = errno;
  throw sql_failure{
      journal::error{opening_failed(why), path + ": " + std::strerror(why) + "; make the folder " + folder + " first"}};
}

/// Makes the file where it is missing, for its owner alone. SQLite gives the log the same mode. Throws sql_failure.
inline void create_private(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) return;
  const int why = errno;
  if (fd < 0)
    throw sql_failure{journal::error{opening_failed(why),
                                     path + ": " + std::strerror(why) + "; check its folder and its permissions"}};
  ::close(fd);
}

/// Which file it is, whatever its name: to notice one that was removed or replaced.
class file_identity {
 public:
  /// Keeps that of the file; nothing where there is none.
  void remember(const std::string& path) noexcept { known_ = look(path, device_, number_); }
  /// Whether the name still leads to the file.
  bool same(const std::string& path) const noexcept {
    dev_t device{};
    ino_t number{};
    return !known_ || (look(path, device, number) && device == device_ && number == number_);
  }

 private:
  static bool look(const std::string& path, dev_t& device, ino_t& number) noexcept {
    struct stat about{};
    if (::stat(path.c_str(), &about) != 0) return false;
    device = about.st_dev;
    number = about.st_ino;
    return true;
  }

  bool known_ = false;
  dev_t device_{};
  ino_t number_{};
};

class journal_file {
 public:
  /// Throws sql_failure.
  journal_file(const std::string& path, const options& o) : path_{resolved(path)}, lock_{path_} {
    create_private(path_);
    db_.emplace(path_, SQLITE_OPEN_READWRITE);
    if (sqlite3_db_readonly(db_->raw(), "main") == 1) db_->fail(SQLITE_READONLY);
    sqlite3_busy_timeout(db_->raw(), busy_milliseconds(o));
    db_->run("PRAGMA auto_vacuum = INCREMENTAL");  // before all else: it counts for a new file only
    db_->run("PRAGMA journal_mode = WAL");
    if (number_of(*db_, "SELECT journal_mode = 'wal' FROM pragma_journal_mode") != 1)
      throw sql_failure{
          journal::error{journal::error_kind::io,
                         path_ + ": this file system cannot keep a write-ahead log; put the file on a local disk"}};
    db_->run("PRAGMA synchronous = FULL");
    db_->run(
        "PRAGMA wal_autocheckpoint = 8192");  // pages: 32 MiB; ids are random, and so are the pages that they touch
    db_->run("PRAGMA journal_size_limit = 67108864");  // what the log may keep of the disk once it was written back
    db_->run("PRAGMA cache_size = -16384");            // KiB
    db_->run("PRAGMA cell_size_check = ON");
    db_->run("PRAGMA trusted_schema = OFF");
    migrate(*db_, schema_steps);
    const std::int64_t bytes = number_of(*db_, "PRAGMA page_count") * number_of(*db_, "PRAGMA page_size");
    if (static_cast<std::uint64_t>(bytes) <= o.check_first) {
      check_whole(*db_);
    } else {
      check_.emplace(path_);
    }
    // Whoever had leases has ended: this process has the lock.
    db_->run("BEGIN IMMEDIATE; UPDATE events INDEXED BY events_leased SET state = 0, lease = 0 WHERE state = 1; "
             "UPDATE meta SET opened = opened + 1; COMMIT");
    opened_ = number_of(*db_, "SELECT opened FROM meta");
    sync_folder();
    identity_.remember(path_);
    log_identity_.remember(path_ + "-wal");
  }

  database& db() noexcept { return *db_; }
  /// How often the journal was opened.
  std::int64_t opened() const noexcept { return opened_; }
  /// Throws sql_failure where what is written now would not be there after a restart, or where damage was found.
  void still_good() {
    if (check_) {
      if (auto found = check_->finding()) throw sql_failure{*std::move(found)};
      if (check_->over()) check_.reset();
    }
    if (identity_.same(path_) && log_identity_.same(path_ + "-wal")) return;
    throw sql_failure{journal::error{
        journal::error_kind::unreachable,
        path_ + ": was removed or replaced while it was open; put it back, or start this program again with another"}};
  }
  bool being_checked() const noexcept { return check_.has_value(); }

 private:
  static int busy_milliseconds(const options& o) noexcept {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration{o.busy}).count();
    return ms > INT_MAX ? INT_MAX : static_cast<int>(ms);
  }
  // A new file is lost with all that is in it if its entry is not on the disk.
  void sync_folder() const {
    const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;  // without permission to read it, it cannot be synced
    const bool synced = ::fsync(folder) == 0 || errno == EINVAL || errno == EROFS;
    const int why = errno;
    ::close(folder);
    if (!synced)
      throw sql_failure{
          journal::error{journal::error_kind::io, path_ + ": its folder cannot be synced: " + std::strerror(why) +
                                                      "; look into the system's log for errors of this disk"}};
  }

  std::string path_;
  process_lock lock_;
  std::optional<database> db_;
  std::optional<background_check> check_;
  std::int64_t opened_ = 0;
  file_identity identity_, log_identity_;
};

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
