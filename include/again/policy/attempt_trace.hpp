// SPDX-License-Identifier: MIT
/// \file
/// `attempt_record` describes one attempt to observers; `attempt_trace` keeps the last eight records of a call.
///
/// ```cpp
/// auto r = again::attempt_record::failed(2, error.verdict(), decided);   // attempt 2 failed: what was decided about it
/// auto s = again::attempt_record::succeeded(3, 200);                     // attempt 3 gave a value
/// ```
#pragma once

#include <again/policy/decide.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {

/// One attempt, as observers see it and as the trace keeps it. Trivially copyable; `name` has static storage.
struct attempt_record {
  int attempt = 0;             ///< from 1
  bool ok = false;             ///< it gave a value
  bool last = false;           ///< no attempt follows
  bool timed_out = false;      ///< `attempt_timeout` or `deadline` cut it short
  again::reach reach{};        ///< how far it got
  disposition kind{};          ///< what its error said; only of a failed attempt
  wait_by by = wait_by::none;  ///< who asked for `wait`
  stop_reason stop{};          ///< why the call ended here; only when `last` and not `ok`
  int code = 0;                ///< the HTTP status, or 0
  std::string_view name{};     ///< one word for the error; empty when `ok` or unknown
  duration began{-1};          ///< from the start of the first attempt; negative: not measured
  duration took{-1};           ///< how long the attempt ran; negative: not measured
  duration wait{};             ///< the wait decided on before the next attempt

  /// An attempt whose error said `v`, and the decision that followed. The times are not measured.
  static constexpr attempt_record failed(int attempt, const verdict& v, const decision& d) noexcept {
    return {.attempt = attempt,
            .last = !d.again,
            .reach = v.reach,
            .kind = v.kind,
            .by = d.by,
            .stop = d.stop,
            .code = v.code,
            .name = v.name,
            .wait = d.wait};
  }
  /// An attempt that gave a value with this code (see `code_of`). The times are not measured.
  static constexpr attempt_record succeeded(int attempt, int code = 0) noexcept {
    return {.attempt = attempt, .ok = true, .last = true, .reach = again::reach::answered, .code = code};
  }

  /// OpenTelemetry's `http.request.resend_count` (semantic conventions 1.23): absent on the first send, then 1, 2, …
  constexpr std::optional<int> resend_count() const noexcept {
    return attempt > 1 ? std::optional{attempt - 1} : std::nullopt;
  }
};

/// The last `capacity` attempts of a call, oldest first. It never allocates.
class attempt_trace {
 public:
  static constexpr std::size_t capacity = 8;

  constexpr attempt_trace() noexcept {}  // leaves the records unwritten: a call that succeeds at once needs none

  /// Adds a record and returns where it is kept. When the trace is full, the oldest record is dropped.
  constexpr attempt_record& push(const attempt_record& record) noexcept {
    slot& here = records_[count_++ % capacity];
    here = slot{record};
    return here.record;
  }
  /// Counts `n` attempts as dropped, as another trace dropped them. `capacity` calls of `push` must follow.
  constexpr void skip(std::size_t n) noexcept { count_ += n; }
  /// How many records are kept, at most `capacity`.
  constexpr std::size_t size() const noexcept { return count_ < capacity ? count_ : capacity; }
  /// How many earlier attempts are no longer kept.
  constexpr std::size_t dropped() const noexcept { return count_ - size(); }
  /// Record `i` of those kept; 0 is the oldest. Requires `i < size()`.
  constexpr const attempt_record& operator[](std::size_t i) const noexcept {
    return records_[(dropped() + i) % capacity].record;
  }

 private:
  union slot {  // no constructor runs for records that are never written
    constexpr slot() noexcept {}
    constexpr explicit slot(const attempt_record& r) noexcept : record{r} {}
    attempt_record record;
  };
  std::size_t count_ = 0;
  std::array<slot, capacity> records_;
};

}  // namespace AGAIN_ABI
}  // namespace again
