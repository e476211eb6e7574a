// SPDX-License-Identifier: MIT
/// \file
/// `dead_letter_file`: the dead letter queue of a sink as a file: events that were not delivered, one JSON object per line, with
/// everything needed to send them again.
///
/// ```cpp
/// again::dead_letter_file dead{"dead.jsonl"};                    // throws std::system_error where it cannot be written
/// again::sink orders{endpoints, {.dead_letters = &dead}};
/// ```
///
/// | member | what |
/// |---|---|
/// | `id`, `key`, `order_key`, `headers`, `body` | the event; `headers` is a list of `[name, value]`; bytes that are not UTF-8 are `{"base64": "…"}` |
/// | `only` | the endpoints that did not take it |
/// | `at`, `reason`, `attempts`, `error`, `status` | when (Unix seconds) and why: for people |
///
/// - Each line is written by one `write` to a file opened with O_APPEND, so several processes may share it. A line is whole or,
///   where the disk is full, ends early; then the next line, by whichever process, starts after a line feed. Readers skip blank lines:
///   two processes that write at the same moment may leave one.
/// - The path is checked before each line: where the file was renamed or removed, as log rotation does, the next line goes to a
///   new file. Where that file cannot be opened and the old one has no name any more, the letter is lost.
/// - Permissions: a file that it creates has mode 0600, as events may hold secrets. An existing file keeps its mode. Headers that an
///   endpoint adds are not in the file.
/// - Errors: `write` returns false, `lost` counts, `problem` has the sentence. It blocks its thread while it writes.
/// - Threads: `write` on one thread at a time; `written` and `lost` from any.
/// - To read it, use a JSON parser of your choice: docs/examples/replay.hpp turns lines into events with one.
#pragma once

#include <again/core/detail/json_writer.hpp>
#include <again/sink/delivery.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace again {
inline namespace AGAIN_ABI {

/// When a line is safe.
enum class durability : std::uint8_t {
  system,  ///< it is with the operating system: it survives the process, but not a power cut
  disk,    ///< it is on the disk before `write` returns (fdatasync; for a new file the entry in its folder, too)
};

/// The line of a dead letter, without the line feed.
std::string dead_letter_line(const delivery& d, wall_time at);

class dead_letter_file {
 public:
  /// Opens or creates the file. Throws std::system_error that names the path.
  explicit dead_letter_file(std::string path, durability sync = durability::system);
  dead_letter_file(const dead_letter_file&) = delete;
  dead_letter_file& operator=(const dead_letter_file&) = delete;
  ~dead_letter_file() { ::close(fd_); }

  /// Appends the event of a failed delivery. False: it could not be written, or not as a whole.
  bool write(const delivery& d, wall_time at);

  [[nodiscard]] std::uint64_t written() const noexcept { return written_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }
  /// Why the last one was lost; empty where none was.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  bool follow();
  bool append(std::string_view text);
  bool failed(std::string_view what = {});
  bool ends_inside_a_line() const noexcept;
  int opened() const;

  std::string path_;
  int fd_;
  durability sync_;
  std::string problem_;
  std::atomic<std::uint64_t> written_{0}, lost_{0};
};

// ── definitions ──

inline std::string dead_letter_line(const delivery& d, wall_time at) {
  using detail::json_bytes;
  using detail::json_member;
  using detail::json_string;
  const event& e = d.event;
  std::string out = "{";
  json_bytes(json_member(out, "id"), e.id);
  if (!e.key.empty()) json_bytes(json_member(out, "key"), e.key);
  if (!e.order_key.empty()) json_bytes(json_member(out, "order_key"), e.order_key);
  json_member(out, "headers") += '[';
  for (const http::headers::field& f : e.headers) {
    out += out.back() == '[' ? "[" : ",[";
    json_string(out, f.name);
    out += ',';
    json_bytes(out, f.value);
    out += ']';
  }
  json_bytes(json_member(out += ']', "body"), e.body);
  json_member(out, "only") += '[';
  const auto name_one = [&out](std::string_view name) {
    if (out.back() != '[') out += ',';
    json_string(out, name);
  };
  if (d.outcomes.empty()) {
    for (const std::string& name : e.only) name_one(name);
  }
  if (d.outcomes.size() > 1 || !e.only.empty()) {  // else it was in turns: any endpoint will do
    for (const endpoint_outcome& o : d.outcomes)
      if (!o.result) name_one(o.endpoint);
  }
  json_member(out += ']', "at") +=
      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count());
  if (const auto why = d.reason()) json_string(json_member(out, "reason"), name(*why));
  json_member(out, "attempts") += std::to_string(d.attempts());
  const endpoint_outcome* const failed = d.failed();
  if (const http::error* const last = failed != nullptr ? failed->result.error().error() : nullptr) {
    json_string(json_member(out, "error"), last->text());
    if (last->status() != 0) json_member(out, "status") += std::to_string(last->status());
  }
  return out += '}';
}

inline dead_letter_file::dead_letter_file(std::string path, durability sync)
    : path_{std::move(path)}, fd_{-1}, sync_{sync} {
  fd_ = opened();
  if (fd_ < 0) throw std::system_error{errno, std::generic_category(), "cannot write " + path_};
}

inline bool dead_letter_file::write(const delivery& d, wall_time at) {
  if (follow()) {
    std::string line{ends_inside_a_line() ? "\n" : ""};
    line.append(dead_letter_line(d, at)).append("\n");
    if (append(line)) {
      written_.fetch_add(1, std::memory_order_relaxed);
      return true;
    }
  }
  lost_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

/// A descriptor, or -1 with errno.
inline int dead_letter_file::opened() const {
  const int fd = ::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || sync_ != durability::disk) return fd;
  // A new file is lost with its lines if its entry is not on the disk. A folder without read permission cannot be synced.
  const auto slash = path_.rfind('/');
  const int folder =
      ::open(slash == std::string::npos ? "." : path_.substr(0, slash + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return fd;
  const bool synced = ::fsync(folder) == 0 || errno == EINVAL || errno == EROFS;
  const int why = errno;
  ::close(folder);
  if (synced) return fd;
  ::close(fd);
  errno = why;
  return -1;
}

/// Opens the file that the path names now, if it is another one. False: it cannot be opened, and the open one has no name any more.
inline bool dead_letter_file::follow() {
  struct stat ours{}, named{};
  if (::fstat(fd_, &ours) != 0) return failed();
  if (!S_ISREG(ours.st_mode)) return true;
  if (::stat(path_.c_str(), &named) == 0 && named.st_dev == ours.st_dev && named.st_ino == ours.st_ino) return true;
  const int fd = opened();
  if (fd < 0) return ours.st_nlink > 0 || failed();  // renamed: the letter joins those before it
  ::close(std::exchange(fd_, fd));
  return true;
}

/// True where the last write, of this process or another, was cut short.
inline bool dead_letter_file::ends_inside_a_line() const noexcept {
  struct stat about{};
  char last = '\n';
  return ::fstat(fd_, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0 &&
         ::pread(fd_, &last, 1, about.st_size - 1) == 1 && last != '\n';
}

inline bool dead_letter_file::append(std::string_view text) {
  ssize_t n = 0;
  do { n = ::write(fd_, text.data(), text.size()); } while (n < 0 && errno == EINTR);
  if (n < 0) return failed();
  if (static_cast<std::size_t>(n) < text.size()) return failed("written in part only: the disk is full");
  const bool safe =
      sync_ == durability::system || ::fdatasync(fd_) == 0 || errno == EINVAL;  // EINVAL: a pipe has no disk
  return safe || failed();
}

/// Keeps the reason; without `what` it is that of errno.
inline bool dead_letter_file::failed(std::string_view what) {
  const int why = errno;
  problem_ = path_ + ": " + (what.empty() ? std::strerror(why) : std::string{what});
  return false;
}

}  // namespace AGAIN_ABI
}  // namespace again
