// SPDX-License-Identifier: MIT
// The counter of the benchmarks sees every way to the heap, once each.
#include "../../bench/allocations.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <malloc.h>

namespace {

int faults = 0;

template <class Take> void* counted_once(const char* name, Take take) {
  bench::start_counting_allocations();
  void* const p = take();
  const bench::allocation_counts seen = bench::stop_counting_allocations();
  const bool good = p != nullptr && seen.allocations == 1 && seen.bytes >= 1000 && seen.peak_bytes >= 1000;
  std::printf("%s %s: %llu allocations, %llu bytes\n", good ? "ok   " : "FAULT", name,
              static_cast<unsigned long long>(seen.allocations), static_cast<unsigned long long>(seen.bytes));
  faults += good ? 0 : 1;
  return p;
}

}  // namespace

int main() {
  constexpr std::size_t size = 1024;
  constexpr std::size_t alignment = 64;
  std::free(counted_once("malloc", [] { return std::malloc(size); }));
  std::free(counted_once("calloc", [] { return std::calloc(2, size); }));
  std::free(counted_once("aligned_alloc", [] { return std::aligned_alloc(alignment, size); }));
  std::free(counted_once("memalign", [] { return memalign(alignment, size); }));
  std::free(counted_once("posix_memalign", [] {
    void* p = nullptr;
    return posix_memalign(&p, alignment, size) == 0 ? p : nullptr;
  }));
  void* const small = std::malloc(1);
  std::free(counted_once("realloc", [&] { return std::realloc(small, size); }));
  ::operator delete(counted_once("operator new", [] { return ::operator new(size); }));
  ::operator delete(
      counted_once("aligned operator new", [] { return ::operator new(size, std::align_val_t{alignment}); }),
      std::align_val_t{alignment});

  bench::start_counting_allocations();
  for (int i = 0; i < 3; ++i) std::free(std::malloc(size));
  const bench::allocation_counts seen = bench::stop_counting_allocations();
  const bool good = seen.allocations == 3 && seen.peak_bytes < 2 * static_cast<std::int64_t>(size);
  std::printf("%s what is given back is not held\n", good ? "ok   " : "FAULT");
  return faults + (good ? 0 : 1);
}
