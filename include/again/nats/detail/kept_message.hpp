// SPDX-License-Identifier: MIT
/// \file
/// `kept_message`: a message as the leader of its stream has it. A direct read is served by any replica, and a copy that lags behind does not
/// show what was stored last. What is read to be shown, or to be changed by hand, is therefore read at the leader.
#pragma once

#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/reply.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

/// A stream, and a request of `layout` that its leader replies to.
using leader_read = std::pair<std::string, request>;

struct kept_message {
  std::uint64_t at = 0;  ///< its number; 0: there is none
  std::string body{};
};

/// From a reply: {…"message":{"subject":…,"seq":7,"data":"aGk=",…}}. Throws nats_failure.
inline kept_message kept_in(const std::string& stream, const message& reply) {
  const std::string_view json = text_of(reply);
  const api_error e = error_in(json);
  if (e.code == no_such_message) return {};
  if (e.code != 0) fail(stream, e);
  return {number(json, "seq").value_or(0), bytes_in_base64(text(json, "data"))};
}

/// In this order. Throws nats_failure.
inline std::vector<kept_message> read_at_leader(connection& over, const std::vector<leader_read>& all) {
  std::vector<request> requests;
  requests.reserve(all.size());
  for (const auto& [stream, asked] : all) requests.push_back(asked);
  const std::vector<message> replies = over.exchange(requests);
  std::vector<kept_message> found;
  found.reserve(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) found.push_back(kept_in(all[i].first, replies[i]));
  return found;
}
inline kept_message read_at_leader(connection& over, const std::string& stream, request one) {
  return kept_in(stream, over.exchange(std::move(one)));
}

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
