// SPDX-License-Identifier: MIT
/// \file
/// `lease_book`: who has which event now. It is in memory alone: one process has the file, and where that one ends, all its leases do. So a
/// take and an extension write nothing. What a transaction changes here is undone with it. One thread at a time.
#pragma once

#include <again/core/clock.hpp>
#include <again/journal/event_record.hpp>

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

struct lease {
  std::int64_t seq, bytes;  // the row, and what it counts for in the totals
  std::string order_key;
  journal::lease_token token;
  wall_time until;
};

class lease_book {
 public:
  bool has(std::int64_t seq) const { return rows_.contains(seq); }
  /// By the id of the event; null: nobody has it. Until the next change.
  const lease* find(const std::string& id) const {
    const auto at = by_id_.find(id);
    return at == by_id_.end() ? nullptr : &at->second;
  }
  /// The first end of a lease; `no_time`: there is none.
  wall_time first_end() const { return ends_.empty() ? journal::no_time : ends_.begin()->first; }
  /// The rows of leases that have ended, those that ended first in front.
  std::vector<std::int64_t> ended(wall_time now, std::size_t most) const {
    std::vector<std::int64_t> all;
    for (auto at = ends_.begin(); at != ends_.end() && at->first <= now && all.size() < most; ++at)
      all.push_back(at->second);
    return all;
  }

  /// Where somebody had it, that lease is over.
  void add(const std::string& id, lease l) {
    remove(id);
    changes_.push_back(change{id});
    const std::pair end{l.until, l.seq};
    const std::int64_t seq = l.seq;
    try {
      by_id_.emplace(id, std::move(l));
      ends_.insert(end);
      rows_.insert(seq);
    } catch (...) {
      take_back(changes_.back());
      changes_.pop_back();
      throw;
    }
  }
  void remove(const std::string& id) {
    const auto at = by_id_.find(id);
    if (at == by_id_.end()) return;
    changes_.push_back(change{id});
    change& c = changes_.back();
    c.end = ends_.extract({at->second.until, at->second.seq});
    c.row = rows_.extract(at->second.seq);
    c.entry = by_id_.extract(at);
  }
  void extend(const std::string& id, wall_time until) {
    const auto at = by_id_.find(id);
    lease l = at->second;
    l.until = until;
    add(id, std::move(l));
  }

  /// A place to go back to, as long as nothing was settled.
  std::size_t mark() const noexcept { return changes_.size(); }
  /// Undoes what was changed since.
  void roll_back(std::size_t to) noexcept {
    for (; changes_.size() > to; changes_.pop_back()) {
      change& c = changes_.back();
      if (c.entry.empty()) {
        take_back(c);
      } else {  // these had their places before: nothing is allocated
        ends_.insert(std::move(c.end));
        rows_.insert(std::move(c.row));
        by_id_.insert(std::move(c.entry));
      }
    }
  }
  /// What was changed remains.
  void settle() noexcept { changes_.clear(); }

 private:
  using entries = std::unordered_map<std::string, lease>;
  using ends = std::set<std::pair<wall_time, std::int64_t>>;
  using rows = std::unordered_set<std::int64_t>;
  struct change {
    explicit change(std::string of) : id{std::move(of)} {}
    std::string id;
    // What was removed; empty: it was added.
    entries::node_type entry{};
    ends::node_type end{};
    rows::node_type row{};
  };

  void take_back(const change& added) noexcept {
    const auto at = by_id_.find(added.id);
    if (at == by_id_.end()) return;
    ends_.erase({at->second.until, at->second.seq});
    rows_.erase(at->second.seq);
    by_id_.erase(at);
  }

  entries by_id_;
  ends ends_;
  rows rows_;
  std::vector<change> changes_;
};

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
