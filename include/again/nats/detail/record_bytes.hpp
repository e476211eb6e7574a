// SPDX-License-Identifier: MIT
/// \file
/// How an event, its state, a dead letter and the state of an endpoint are written as the bytes of a message. Each begins with a letter and the number of its form.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/enumerators.hpp>
#include <again/http/headers.hpp>
#include <again/journal/event_record.hpp>
#include <again/sink/endpoint_state.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

inline constexpr std::string_view event_mark = "E1", state_mark = "S1", letter_mark = "D1", endpoint_mark = "P1";

class byte_writer {
 public:
  explicit byte_writer(std::string_view mark) : out_{mark} {}
  byte_writer& number(std::uint64_t n) {
    for (unsigned shift = 64; shift != 0; shift -= 8) out_ += static_cast<char>(n >> (shift - 8) & 0xffU);
    return *this;
  }
  byte_writer& number(std::int64_t n) { return number(static_cast<std::uint64_t>(n)); }
  byte_writer& number(int n) { return number(std::int64_t{n}); }
  byte_writer& time(wall_time t) { return number(std::int64_t{t.time_since_epoch().count()}); }
  byte_writer& text(std::string_view s) {
    number(std::uint64_t{s.size()});
    out_ += s;
    return *this;
  }
  byte_writer& texts(const std::vector<std::string>& all) {
    number(std::uint64_t{all.size()});
    for (const std::string& one : all) text(one);
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Once something is missing, all that is read is empty, and `good` false.
class byte_reader {
 public:
  byte_reader(std::string_view bytes, std::string_view mark) : left_{bytes}, good_{bytes.starts_with(mark)} {
    if (good_) left_.remove_prefix(mark.size());
  }
  bool good() const noexcept { return good_; }
  std::uint64_t number() noexcept {
    if (!has(8)) return 0;
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < 8; ++i) n = n << 8U | static_cast<unsigned char>(left_[i]);
    left_.remove_prefix(8);
    return n;
  }
  int small() noexcept { return static_cast<int>(static_cast<std::int64_t>(number())); }
  wall_time time() noexcept { return wall_time{wall_time::duration{static_cast<std::int64_t>(number())}}; }
  std::string text() {
    const std::uint64_t n = number();
    if (!has(n)) return {};
    std::string s{left_.substr(0, n)};
    left_.remove_prefix(n);
    return s;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> all;
    for (std::uint64_t n = number(); n > 0 && good_; --n) all.push_back(text());
    return all;
  }

 private:
  bool has(std::uint64_t n) noexcept { return good_ = good_ && n <= left_.size(); }
  std::string_view left_;
  bool good_;
};

/// What a worker or a result has written of an event: the one message of its subject.
struct stored_state {
  journal::event_state state = journal::event_state::waiting;
  std::uint64_t place = 0;  ///< of the event in its stream
  journal::lease_token lease;
  wall_time due{};
  wall_time finished_at = journal::no_time;
  journal::result result;
  // Of the event, for one that is finished and gone from its stream.
  std::string id, key, order_key;
  wall_time created{};
};

inline std::string bytes_of(const journal::event_record& r) {
  byte_writer out{event_mark};
  out.text(r.event.id).text(r.event.key).text(r.event.order_key).texts(r.event.only);
  out.time(r.created).time(r.due).time(r.deadline);
  out.number(std::uint64_t{r.event.headers.size()});
  for (const http::headers::field& f : r.event.headers) out.text(f.name).text(f.value);
  out.text(r.event.body);
  return out.take();
}
/// Nothing: these are not such bytes.
inline std::optional<journal::event_record> event_from(std::string_view bytes) {
  byte_reader in{bytes, event_mark};
  journal::event_record r;
  r.event.id = in.text();
  r.event.key = in.text();
  r.event.order_key = in.text();
  r.event.only = in.texts();
  r.created = in.time();
  r.due = in.time();
  r.deadline = in.time();
  for (std::uint64_t n = in.number(); n > 0 && in.good(); --n) {
    std::string name = in.text();
    r.event.headers.add(std::move(name), in.text());
  }
  r.event.body = in.text();
  if (!in.good() || r.event.id.empty()) return std::nullopt;
  return r;
}

inline std::string bytes_of(const stored_state& s) {
  byte_writer out{state_mark};
  const journal::progress& p = s.result.progress;
  out.number(static_cast<int>(s.state)).number(s.place).text(s.lease.worker).number(s.lease.number);
  out.time(s.due).time(s.finished_at).number(s.result.status).text(s.result.reason);
  out.number(p.attempts).number(p.deliveries).time(p.first_attempt).time(p.last_attempt);
  out.text(p.last_error).texts(p.only).texts(p.refused);
  out.text(s.id).text(s.key).text(s.order_key).time(s.created);
  return out.take();
}
inline std::optional<stored_state> state_from(std::string_view bytes) {
  byte_reader in{bytes, state_mark};
  stored_state s;
  const std::uint64_t state = in.number();
  s.state = static_cast<journal::event_state>(state & 3U);
  s.place = in.number();
  s.lease.worker = in.text();
  s.lease.number = in.number();
  s.due = in.time();
  s.finished_at = in.time();
  s.result.status = in.small();
  s.result.reason = in.text();
  journal::progress& p = s.result.progress;
  p.attempts = in.small();
  p.deliveries = in.small();
  p.first_attempt = in.time();
  p.last_attempt = in.time();
  p.last_error = in.text();
  p.only = in.texts();
  p.refused = in.texts();
  s.id = in.text();
  s.key = in.text();
  s.order_key = in.text();
  s.created = in.time();
  if (!in.good() || state > 3) return std::nullopt;
  return s;
}

/// A dead letter: the event with its end.
inline std::string letter_of(std::string_view event, std::string_view state) {
  return byte_writer{letter_mark}.text(event).text(state).take();
}
struct letter {
  std::string event, state;  ///< in the forms above
};
inline std::optional<letter> letter_from(std::string_view bytes) {
  byte_reader in{bytes, letter_mark};
  letter l;
  l.event = in.text();
  l.state = in.text();
  if (!in.good()) return std::nullopt;
  return l;
}

inline std::string bytes_of(const endpoint_status& s) {
  byte_writer out{endpoint_mark};
  out.text(s.name).number(static_cast<int>(s.state)).number(static_cast<int>(s.reason)).text(s.last_error);
  return out.time(s.since).time(s.until).time(s.failing_since).take();
}
inline std::optional<endpoint_status> endpoint_from(std::string_view bytes) {
  byte_reader in{bytes, endpoint_mark};
  endpoint_status s;
  s.name = in.text();
  const std::uint64_t state = in.number(), reason = in.number();
  s.last_error = in.text();
  s.since = in.time();
  s.until = in.time();
  s.failing_since = in.time();
  if (!in.good() || state >= again::detail::enumerators<endpoint_state>.size() ||
      reason >= again::detail::enumerators<endpoint_reason>.size())
    return std::nullopt;
  s.state = static_cast<endpoint_state>(state);
  s.reason = static_cast<endpoint_reason>(reason);
  return s;
}

/// Adds what is known of it to an event.
inline void apply(const stored_state& s, journal::event_record& r) {
  r.state = s.state;
  r.lease = s.lease;
  r.due = s.due;
  r.finished_at = s.finished_at;
  r.result = s.result;
}
/// Of an event that is gone from its stream: without headers and body.
inline journal::event_record record_of(const stored_state& s) {
  journal::event_record r;
  r.event.id = s.id;
  r.event.key = s.key;
  r.event.order_key = s.order_key;
  r.created = s.created;
  apply(s, r);
  return r;
}

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
