// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace again_test {

/// How far apart the stack frames were from which `here` was called.
class stack_depth {
 public:
  [[gnu::noinline]] void here() noexcept {
    const volatile char local = 0;
    const auto address = reinterpret_cast<std::uintptr_t>(&local);
    if (lowest_ == 0 || address < lowest_) lowest_ = address;
    if (address > highest_) highest_ = address;
  }
  std::size_t bytes() const noexcept { return highest_ - lowest_; }

 private:
  std::uintptr_t lowest_ = 0;
  std::uintptr_t highest_ = 0;
};

/// Much less than a million calls need, much more than any real nesting of ours.
inline constexpr std::size_t constant_stack = 512 * 1024;

}  // namespace again_test
