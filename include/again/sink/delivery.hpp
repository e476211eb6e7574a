// SPDX-License-Identifier: MIT
/// \file
/// `event` and `delivery`: what is handed to a sink (`<again/sink/sink.hpp>`), and the one final result that comes back.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/core/stop_reason.hpp>
#include <again/http/error.hpp>
#include <again/http/headers.hpp>
#include <again/http/message.hpp>
#include <again/policy/failure.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

/// What is delivered. A class with constructors, so that it may be written inside a `co_await` expression with g++ 12.
class event {
 public:
  event() = default;
  explicit event(std::string event_id, std::string content = {}, http::headers fields = {})
      : id{std::move(event_id)}, headers{std::move(fields)}, body{std::move(content)} {}

  std::string id;         ///< for results, logs and dead letters
  http::headers headers;  ///< sent with it; an endpoint's own fields are added where it has none of that name
  std::string body;
  /// Its Idempotency-Key: the same on every attempt, endpoint and replay. Empty: the sink makes one when the event is handed in.
  std::string key;
  /// With `ordering::per_key`: events of one key are delivered one after another. Empty: none.
  std::string order_key;
  /// Names of the endpoints to send to, each of them, of those it may go to; empty: as the sink's routing says. A replay sets it, so that
  /// nobody gets twice what only others did not take, and nobody is left out.
  std::vector<std::string> only;
};

/// What became of it at one endpoint; with round robin at the one where it ended.
class endpoint_outcome {
 public:
  using result_type = expected<http::response, failure<http::error>>;
  endpoint_outcome(std::string_view where, result_type r, int made, duration took, const attempt_trace& seen)
      : endpoint{where}, result{std::move(r)}, attempts{made}, elapsed{took}, trace{seen} {}

  std::string_view endpoint;  ///< its name; lives as long as the sink
  result_type result;
  int attempts;         ///< sends, also of a success
  duration elapsed;     ///< from the first attempt to the end
  attempt_trace trace;  ///< the last attempts, oldest first
};

/// What became of an event that was not delivered, beyond its result.
enum class dead_letter : std::uint8_t {
  none,     ///< it was delivered, or given back as overloaded, or nobody keeps dead letters
  written,  ///< it is in the file
  lost,     ///< it could not be written: this result is all there is
};
constexpr std::string_view name(dead_letter d) noexcept {
  switch (d) {
    case dead_letter::none: return "none";
    case dead_letter::written: return "written";
    case dead_letter::lost: return "lost";
  }
  return "unknown";
}

/// The final result of an event; true where every endpoint it was meant for took it. Holds the event, so that whoever gets the
/// result can go on with it.
class [[nodiscard]] delivery {
 public:
  explicit delivery(again::event e) : event{std::move(e)} {}

  again::event event;
  bool accepted = false;                   ///< it was taken in, and counts as delivered or failed; else it was refused
  std::vector<endpoint_outcome> outcomes;  ///< of each endpoint that it was begun for, in the sink's order
  std::optional<stop_reason> not_begun;    ///< why there are no outcomes
  duration elapsed{};                      ///< from its acceptance, the queue included
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
  /// Sends in all, over all endpoints.
  int attempts() const noexcept {
    int n = 0;
    for (const endpoint_outcome& o : outcomes) n += o.attempts;
    return n;
  }
};

/// Told of every attempt and every result, on the loop's thread; see `<again/sink/delivery_log.hpp>`.
class delivery_observer {
 public:
  delivery_observer() = default;
  delivery_observer(const delivery_observer&) = delete;
  delivery_observer& operator=(const delivery_observer&) = delete;
  virtual ~delivery_observer() = default;

  /// After each attempt, when it is decided what comes next.
  virtual void attempted(const event&, std::string_view /*endpoint*/, const attempt_record&) {}
  /// Once per event handed in, with what its caller gets.
  virtual void finished(const delivery&) {}
};

}  // namespace AGAIN_ABI
}  // namespace again
