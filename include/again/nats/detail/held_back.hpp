// SPDX-License-Identifier: MIT
/// \file
/// `held_back`: events that were delivered to this process while an earlier one of their key is unfinished. They are kept here under a lease,
/// and given out in order. A key holds few of them and all keys together a bound: the rest goes back to the servers. The store's thread.
#pragma once

#include <again/nats/detail/lease_book.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

class held_back {
 public:
  using events_of_key = std::map<std::uint64_t, delivered_event>;  // by place

  /// False: there is no room; `e` is untouched.
  bool add(delivered_event& e) {
    events_of_key& all = keys_[e.record.event.order_key];
    const auto same = all.find(e.numbers.place);
    if (same != all.end()) {
      same->second = std::move(e);
      return true;
    }
    if (!all.empty() && (all.size() >= most_of_key || size_ >= most)) return false;
    all.emplace(e.numbers.place, std::move(e));
    ++size_;
    return true;
  }
  std::map<std::string, events_of_key>& keys() noexcept { return keys_; }
  /// Takes the first of a key out.
  delivered_event pop(const std::string& key) {
    const auto at = keys_.find(key);
    delivered_event e = std::move(at->second.begin()->second);
    at->second.erase(at->second.begin());
    if (at->second.empty()) keys_.erase(at);
    --size_;
    return e;
  }
  template <class Gone> void remove_if(Gone gone) {
    for (auto key = keys_.begin(); key != keys_.end();) {
      for (auto e = key->second.begin(); e != key->second.end();) {
        const bool goes = gone(e->second);
        size_ -= goes ? 1U : 0U;
        e = goes ? key->second.erase(e) : std::next(e);
      }
      key = key->second.empty() ? keys_.erase(key) : std::next(key);
    }
  }
  bool empty() const noexcept { return size_ == 0; }

 private:
  static constexpr std::size_t most_of_key = 64, most = 1024;
  std::map<std::string, events_of_key> keys_;
  std::size_t size_ = 0;
};

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
