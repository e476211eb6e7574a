// SPDX-License-Identifier: MIT
/// \file
/// How states of endpoints are written and read as messages of NAME_endpoints. The revision of a record is the number of its message.
///
/// All reads ask the leader: a copy that lags behind may show a state that was changed since, and a sink would take that for a new change.
#pragma once

#include <again/journal/endpoint_store.hpp>
#include <again/journal/error.hpp>
#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/kept_message.hpp>
#include <again/nats/detail/layout.hpp>
#include <again/nats/detail/record_bytes.hpp>
#include <again/nats/detail/reply.hpp>
#include <again/nats/detail/state_message.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

/// From a reply to `subjects_of`: {"config":{…"subjects":[…]…},…"state":{…"subjects":{"A.endpoint.YQ":1,…}…}…}
inline std::vector<std::string> subjects_in(std::string_view info) {
  std::vector<std::string> all;
  const auto state = member(info, "state");
  const auto names = state ? member(*state, "subjects") : std::nullopt;
  if (!names || !names->starts_with('{')) return all;
  std::string_view left = names->substr(0, names->find('}'));
  for (std::size_t at = left.find('"'); at != std::string_view::npos; at = left.find('"')) {
    left.remove_prefix(at + 1);
    const std::size_t end = std::min(left.find('"'), left.size());
    all.emplace_back(left.substr(0, end));
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return all;
}

/// By name. Throws nats_failure.
inline std::vector<journal::endpoint_record> read_endpoints(connection& over, const layout& names) {
  const std::string stream = names.endpoints();
  const message info = over.exchange(names.subjects_of(stream));
  if (const api_error e = error_in(text_of(info)); e.code != 0) fail(stream, e);
  std::vector<leader_read> reads;
  for (const std::string& subject : subjects_in(text_of(info)))
    reads.emplace_back(stream, names.last_at_leader(stream, subject));
  std::vector<journal::endpoint_record> all;
  for (const kept_message& m : read_at_leader(over, reads)) {
    if (m.at == 0) continue;  // removed since
    auto status = endpoint_from(m.body);
    if (!status)
      fail(journal::error_kind::corrupt,
           "stream " + stream + ": message " + std::to_string(m.at) + " is no state of an endpoint; remove it");
    all.emplace_back(*std::move(status), m.at);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.status.name < b.status.name; });
  return all;
}

/// As `journal::endpoint_store::put`. Throws nats_failure.
inline std::uint64_t put_endpoint(connection& over, const layout& names, const journal::endpoint_record& r) {
  if (r.status.name.size() > longest_id)
    fail(journal::error_kind::invalid, "the name of an endpoint has more than 2048 bytes; use a shorter one");
  const auto at = written(over.exchange(request{names.endpoint(r.status.name), bytes_of(r.status), {}, r.revision}),
                          names.endpoints());
  return at.value_or(0);
}

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
