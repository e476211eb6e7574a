// SPDX-License-Identifier: MIT
/// \file
/// `memory_model`: what a store promises, in the plainest form: a list of records and a function for each member. Every other store is
/// compared with it. One thread.
#pragma once

#include <again/journal/endpoint_store.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>
#include <again/journal/store.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {
namespace detail {

class memory_model {
 public:
  stored_result<acknowledged> append(std::vector<new_event> events, wall_time now) {
    std::set<std::string> fresh;
    for (const new_event& e : events) {
      if (e.event.id.empty()) return refused<acknowledged>(missing_id());
      if (!places_.contains(e.event.id)) fresh.insert(e.event.id);
    }
    if (!fresh.empty() && unfinished() + fresh.size() > most)
      return refused<acknowledged>(error{error_kind::full, "the store has no room"});
    acknowledged out;
    for (new_event& e : events) {
      const bool stored = places_.try_emplace(e.event.id, next_place_).second;
      if (stored) records_.emplace(next_place_++, event_record{std::move(e), now});
      ++(stored ? out.stored : out.repeated);
    }
    return out;
  }

  stored_result<taken> take(std::size_t n, const worker_lease& lease, wall_time now) {
    // Those whose leases have ended come first, then those that are due; each in the order of their times.
    struct candidate {
      bool due;
      wall_time since;
      std::uint64_t place;
      event_record* record;
    };
    std::vector<candidate> free;
    std::set<std::string> keys;  // with an unfinished event before this one
    taken out;
    const auto next_at = [&out](wall_time at) { out.next = std::min(out.next.value_or(at), at); };
    for (auto& [place, r] : records_) {
      if (finished(r.state)) continue;
      const bool first = r.event.order_key.empty() || keys.insert(r.event.order_key).second;
      if (!first) continue;
      const bool leased = r.state == event_state::leased;
      const wall_time since = leased ? r.leased_until : r.due;
      if (since <= now) {
        free.push_back({!leased, since, place, &r});
      } else {
        next_at(since);
      }
    }
    std::sort(free.begin(), free.end(), [](const candidate& a, const candidate& b) {
      return std::tie(a.due, a.since, a.place) < std::tie(b.due, b.since, b.place);
    });
    if (free.size() > n) {
      next_at(now);
      free.resize(n);
    }
    const lease_token token{lease.worker, free.empty() ? 0 : ++leases_};
    for (const candidate& c : free) {
      event_record* const r = c.record;
      r->state = event_state::leased;
      r->lease = token;
      r->leased_until = later_by(now, lease.span);
      next_at(r->leased_until);
      out.events.push_back(*r);
    }
    return out;
  }

  stored_result<std::vector<claim>> extend(const std::vector<extension>& extensions, duration span, wall_time now) {
    std::vector<claim> gone;
    for (const extension& e : extensions) {
      event_record* const r = owned(e.claim, event_state::leased);
      if (r == nullptr || r->state != event_state::leased) {
        gone.push_back(e.claim);
        continue;
      }
      r->leased_until = later_by(now, span);
      if (e.progress) r->result.progress = *e.progress;
    }
    return gone;
  }

  stored_result<void> later(const claim& c, wall_time due, progress so_far) {
    event_record* const r = owned(c, event_state::waiting);
    if (r == nullptr) return refused<void>(lost_lease(c));
    r->state = event_state::waiting;
    r->due = due;
    r->result.progress = std::move(so_far);
    return {};
  }

  stored_result<void> finish(const claim& c, event_state as, result how, wall_time now) {
    event_record* const r = owned(c, as);
    if (r == nullptr) return refused<void>(lost_lease(c));
    if (r->state == as) return {};
    r->state = as;
    r->finished_at = now;
    r->result = std::move(how);
    return {};
  }

  stored_result<std::optional<event_record>> find(const std::string& id) const {
    const auto at = places_.find(id);
    if (at == places_.end()) return std::optional<event_record>{};
    return std::optional<event_record>{records_.at(at->second)};
  }

  std::vector<endpoint_record> endpoints() const {
    std::vector<endpoint_record> all;
    all.reserve(endpoints_.size());
    for (const auto& [name, r] : endpoints_) all.push_back(r);
    return all;
  }
  std::uint64_t put(endpoint_record r, wall_time now) {
    const auto at = endpoints_.find(r.status.name);
    if (r.revision != (at == endpoints_.end() ? 0 : at->second.revision)) return 0;
    const std::uint64_t next = ++r.revision;
    if (opens(at == endpoints_.end() ? endpoint_status{} : at->second.status, r.status)) let_go(r.status.name, now);
    endpoints_[r.status.name] = std::move(r);
    return next;
  }

  /// What the end of all workers does: nobody has a lease any more.
  void forget_leases() {
    for (auto& [place, r] : records_) {
      if (r.state != event_state::leased) continue;
      r.state = event_state::waiting;
      r.lease = {};
    }
  }

  std::size_t count(event_state s) const noexcept {
    return static_cast<std::size_t>(
        std::count_if(records_.begin(), records_.end(), [s](const auto& at) { return at.second.state == s; }));
  }
  const std::map<std::uint64_t, event_record>& records() const noexcept { return records_; }

  std::size_t most = std::numeric_limits<std::size_t>::max();  // of unfinished events

 private:
  template <class T> static stored_result<T> refused(error e) { return stored_result<T>{unexpect, std::move(e)}; }
  std::size_t unfinished() const noexcept { return count(event_state::waiting) + count(event_state::leased); }

  // The events that were tried, or refused, and may be for that endpoint.
  void let_go(const std::string& endpoint, wall_time now) {
    for (auto& [place, r] : records_) {
      const progress& p = r.result.progress;
      const bool meant = p.only.empty() || std::find(p.only.begin(), p.only.end(), endpoint) != p.only.end();
      if (r.state == event_state::waiting && !p.last_error.empty() && meant) r.due = std::min(r.due, now);
    }
  }
  // The record where the claim counts, or where it has led to the state `as` before.
  event_record* owned(const claim& c, event_state as) {
    const auto at = places_.find(c.id);
    if (at == places_.end()) return nullptr;
    event_record& r = records_.at(at->second);
    const bool counts = r.state == event_state::leased || r.state == as;
    return counts && c.token.number != 0 && r.lease == c.token ? &r : nullptr;
  }

  std::map<std::uint64_t, event_record> records_;  // in the order of their arrival
  std::unordered_map<std::string, std::uint64_t> places_;
  std::map<std::string, endpoint_record> endpoints_;
  std::uint64_t next_place_ = 1;
  std::uint64_t leases_ = 0;
};

}  // namespace detail
}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
