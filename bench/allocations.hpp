// SPDX-License-Identifier: MIT
/// \file
/// What a program takes from the heap, whichever way: `malloc` and its kin are replaced, beneath `operator new` and beneath the
/// libraries that call `aligned_alloc` themselves. Needs glibc, whose own functions do the work.
#pragma once

#include <cstdint>

namespace bench {

struct allocation_counts {
  std::uint64_t allocations = 0;
  std::uint64_t bytes = 0;      ///< as the heap rounds them
  std::int64_t peak_bytes = 0;  ///< the most that was held at once, beyond what was held at the start
};

/// Counts from here on, in all threads. Off at first: counting costs more than an allocation.
void start_counting_allocations() noexcept;
/// What was taken since the start; counts no more.
allocation_counts stop_counting_allocations() noexcept;

}  // namespace bench
