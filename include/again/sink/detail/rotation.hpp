// SPDX-License-Identifier: MIT
/// \file
/// `rotation`: the endpoints that a delivery in turns has tried without success. A retry goes to one that it has not tried.
#pragma once

#include <again/core/expected.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class rotation {
 public:
  explicit rotation(std::size_t endpoints) : tried_(endpoints, false), been_(endpoints, false) {}

  /// When all have been tried, a new round begins, which leaves out the last one.
  void failed_at(std::size_t at) noexcept {
    tried_[at] = been_[at] = true;
    if (std::find(tried_.begin(), tried_.end(), false) != tried_.end()) return;
    std::fill(tried_.begin(), tried_.end(), false);
    tried_[at] = true;
  }
  bool tried(std::size_t at) const noexcept { return tried_[at]; }
  /// In any round.
  bool been(std::size_t at) const noexcept { return been_[at]; }

 private:
  std::vector<bool> tried_, been_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
