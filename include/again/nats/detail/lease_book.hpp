// SPDX-License-Identifier: MIT
/// \file
/// `delivered_event`: an event as a server has delivered it, and what this process has to know to end it; `lease_book`: those that it has
/// handed out. The store's thread.
#pragma once

#include <again/core/clock.hpp>
#include <again/journal/event_record.hpp>
#include <again/nats/detail/record_bytes.hpp>
#include <again/nats/detail/reply.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

/// From the subject on which a delivery is acknowledged: "$JS.ACK.[DOMAIN.ACCOUNT.]STREAM.CONSUMER.TIMES.PLACE.NUMBER.TIME.PENDING[.X]".
struct delivery_numbers {
  std::uint64_t times = 0;   ///< how often it was delivered, this time included
  std::uint64_t place = 0;   ///< of the event in its stream
  std::uint64_t number = 0;  ///< of the delivery: different for each
};
inline delivery_numbers numbers_in(std::string_view subject) noexcept {
  std::array<std::string_view, 12> words{};
  std::size_t n = 0;
  while (n < words.size()) {
    const std::size_t dot = subject.find('.');
    words[n++] = subject.substr(0, dot);
    if (dot == std::string_view::npos) break;
    subject.remove_prefix(dot + 1);
  }
  const std::size_t at = n <= 9 ? 4 : 6;
  if (n < 9) return {};
  return {number_of(words[at]), number_of(words[at + 1]), number_of(words[at + 2])};
}

struct delivered_event {
  message from;  ///< as it came: its bytes are those of a dead letter, its reply subject takes acknowledgements
  delivery_numbers numbers;
  journal::event_record record;
  std::uint64_t state_at =
      0;  ///< the number of the last message with its state, as far as this process knows; 0: there is none
  time_point until{};  ///< the lease, as long as it is not extended

  std::string ack() const { return std::string{reply_of(from)}; }
  /// With another state.
  stored_state state(journal::event_state as, wall_time due) const {
    stored_state s;
    s.state = as;
    s.place = numbers.place;
    s.lease = record.lease;
    s.due = due;
    s.result = record.result;
    s.id = record.event.id;
    s.key = record.event.key;
    s.order_key = record.event.order_key;
    s.created = record.created;
    return s;
  }
};

class lease_book {
 public:
  void add(delivered_event e) {
    const auto before = places_.find(e.numbers.place);
    if (before != places_.end()) remove(before->second);  // our lease had ended, and we have it anew
    places_.emplace(e.numbers.place, e.numbers.number);
    if (!e.record.event.order_key.empty()) ++keys_[e.record.event.order_key];
    leases_.emplace(e.numbers.number, std::move(e));
  }
  delivered_event* find(const journal::claim& c) noexcept {
    const auto at = leases_.find(c.token.number);
    if (at == leases_.end()) return nullptr;
    const journal::event_record& r = at->second.record;
    return r.event.id == c.id && r.lease == c.token ? &at->second : nullptr;
  }
  delivered_event* find(std::string_view id) noexcept {
    for (auto& [number, e] : leases_)
      if (e.record.event.id == id) return &e;
    return nullptr;
  }
  bool has_key(const std::string& order_key) const noexcept { return keys_.contains(order_key); }
  void remove(std::uint64_t number) noexcept {
    const auto at = leases_.find(number);
    if (at == leases_.end()) return;
    const std::string& key = at->second.record.event.order_key;
    if (const auto count = keys_.find(key); count != keys_.end() && --count->second == 0) keys_.erase(count);
    places_.erase(at->second.numbers.place);
    leases_.erase(at);
  }
  std::size_t size() const noexcept { return leases_.size(); }

 private:
  std::unordered_map<std::uint64_t, delivered_event> leases_;  // by the number of the delivery
  std::unordered_map<std::uint64_t, std::uint64_t> places_;    // number by place
  std::unordered_map<std::string, std::size_t> keys_;          // how many of each order key
};

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
