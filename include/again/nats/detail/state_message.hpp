// SPDX-License-Identifier: MIT
/// \file
/// How states of events are written and read as messages of NAME_results.
#pragma once

#include <again/nats/detail/kept_message.hpp>
#include <again/nats/detail/layout.hpp>
#include <again/nats/detail/record_bytes.hpp>
#include <again/nats/detail/reply.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

/// The last state of an event and the number of its message; 0: there is none.
struct known_state {
  std::uint64_t at = 0;
  std::optional<stored_state> state{};
};

/// Only where `after` is the last one.
inline request write(const layout& names, const stored_state& s, std::uint64_t after) {
  return {names.result(s.id), bytes_of(s), {}, after};
}
/// From the reply to a write: the number of the message. Nothing: another one is there. Throws nats_failure.
inline std::optional<std::uint64_t> written(const message& m, const std::string& stream) {
  const api_error e = error_in(text_of(m));
  if (e.code == wrong_last_sequence) return std::nullopt;
  if (e.code != 0) detail::fail(stream, e);
  return number(text_of(m), "seq").value_or(0);
}
/// From a message that was read. Throws nats_failure.
inline known_state state_in(const layout& names, std::uint64_t at, std::string_view body) {
  known_state known{at, state_from(body)};
  if (!known.state)
    fail(journal::error_kind::corrupt,
         "stream " + names.results() + ": message " + std::to_string(at) + " is no state of an event; remove it");
  return known;
}
inline known_state state_in(const layout& names, const kept_message& m) {
  return m.at != 0 ? state_in(names, m.at, m.body) : known_state{};
}
/// From the reply to a direct read.
inline known_state state_in(const layout& names, const message& m) {
  return status_of(m) != 404 ? state_in(names, number_of(header_of(m, "Nats-Sequence")), text_of(m)) : known_state{};
}

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
