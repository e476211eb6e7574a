// SPDX-License-Identifier: MIT
/// \file
/// `delivery`: the one final result of an event that was handed to a sink (`<again/sink/sink.hpp>`).
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/core/stop_reason.hpp>
#include <again/http/error.hpp>
#include <again/http/message.hpp>
#include <again/policy/failure.hpp>
#include <again/sink/event.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

/// The result at one endpoint. In turns (`routing::round_robin`) an event has one: at the endpoint where its last attempt was made.
class endpoint_outcome {
 public:
  using result_type = expected<http::response, failure<http::error>>;
  endpoint_outcome(std::string_view where, result_type r, int made, duration took, const attempt_trace& seen)
      : endpoint{where}, result{std::move(r)}, attempts{made}, elapsed{took}, trace{seen} {}

  std::string_view endpoint;  ///< its name; valid as long as the sink
  result_type result;
  int attempts;         ///< sends, counted also where the result is a response
  duration elapsed;     ///< from the first attempt to the end
  attempt_trace trace;  ///< the last attempts, oldest first
};

/// Whether an event that was not delivered is in the dead letter file.
enum class dead_letter : std::uint8_t {
  none,     ///< there is no letter: it was delivered, or refused as overloaded, or the sink has no file
  written,  ///< it is in the file
  lost,     ///< it could not be written: this result holds the only copy
};
constexpr std::string_view name(dead_letter d) noexcept {
  switch (d) {
    case dead_letter::none: return "none";
    case dead_letter::written: return "written";
    case dead_letter::lost: return "lost";
  }
  return "unknown";
}

/// True where every endpoint that the event was meant for took it. Holds the event, so that the caller can hand it in again.
class [[nodiscard]] delivery {
 public:
  explicit delivery(again::event e) : event{std::move(e)} {}

  again::event event;
  bool accepted = false;  ///< the sink took it in and counts it as delivered or failed; else it was refused
  std::vector<endpoint_outcome> outcomes;  ///< one for each endpoint that a delivery was begun for, in the sink's order
  std::optional<stop_reason> not_begun;    ///< why there are no outcomes
  duration elapsed{};                      ///< from acceptance to the end, the time in the queue included
  again::dead_letter dead_letter = again::dead_letter::none;

  explicit operator bool() const noexcept { return ok(); }
  bool ok() const noexcept {
    for (const endpoint_outcome& o : outcomes)
      if (!o.result) return false;
    return !outcomes.empty();
  }
  /// The first failed outcome; null where there is none.
  const endpoint_outcome* failed() const noexcept {
    for (const endpoint_outcome& o : outcomes)
      if (!o.result) return &o;
    return nullptr;
  }
  /// Why it is not ok; nothing where it is.
  std::optional<stop_reason> reason() const noexcept {
    if (const endpoint_outcome* const o = failed()) return o->result.error().reason();
    return not_begun;
  }
  /// Sends to all endpoints together.
  int attempts() const noexcept {
    int n = 0;
    for (const endpoint_outcome& o : outcomes) n += o.attempts;
    return n;
  }
};

}  // namespace AGAIN_ABI
}  // namespace again
