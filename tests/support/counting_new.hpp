// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace again_test {

// Every operator new and delete of a program that links counting_new.cpp, all threads together.
std::size_t allocations() noexcept;       ///< calls of new so far
std::size_t live_blocks() noexcept;       ///< not yet deleted
std::size_t most_live_blocks() noexcept;  ///< the greatest live_blocks() since reset_most_live_blocks()
void reset_most_live_blocks() noexcept;

}  // namespace again_test
