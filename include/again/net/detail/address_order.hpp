// SPDX-License-Identifier: MIT
/// \file
/// `address_order`: which of an origin's addresses was good, and so the order in which to try them.
#pragma once

#include <again/core/expected.hpp>

#include <algorithm>
#include <mutex>
#include <new>
#include <string>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Any thread; its lock is a leaf.
class address_order {
 public:
  /// The address that worked last comes first, or else the one after the one that failed last.
  void sort(std::vector<std::string>& addresses) const {
    const std::lock_guard lock{mutex_};
    auto first = std::find(addresses.begin(), addresses.end(), good_);
    if (first == addresses.end()) {
      first = std::find(addresses.begin(), addresses.end(), bad_);
      if (first != addresses.end()) ++first;
    }
    if (first != addresses.end()) std::rotate(addresses.begin(), first, addresses.end());
  }
  void worked(const std::string& address) noexcept {
    const std::lock_guard lock{mutex_};
    remember(good_, address);
  }
  void failed(const std::string& address) noexcept {
    const std::lock_guard lock{mutex_};
    remember(bad_, address);
    if (good_ == address) good_.clear();
  }

 private:
  static void remember(std::string& as, const std::string& address) noexcept {
    try {
      as = address;
    } catch (const std::bad_alloc&) { as.clear(); }  // only the order suffers
  }

  mutable std::mutex mutex_;
  std::string good_, bad_;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
