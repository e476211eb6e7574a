// SPDX-License-Identifier: MIT
#include "allocations.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>

#include <malloc.h>

#ifndef __GLIBC__
#error "the benchmarks count allocations beneath malloc, which takes glibc's own __libc_malloc"
#endif

namespace {

std::atomic<bool> counting{false};
std::atomic<std::uint64_t> allocations{0};
std::atomic<std::uint64_t> allocated_bytes{0};
std::atomic<std::int64_t> live_bytes{0};
std::atomic<std::int64_t> peak_bytes{0};

void* counted(void* p) noexcept {
  if (p == nullptr || !counting.load(std::memory_order_relaxed)) return p;
  const auto size = static_cast<std::int64_t>(malloc_usable_size(p));
  allocations.fetch_add(1, std::memory_order_relaxed);
  allocated_bytes.fetch_add(static_cast<std::uint64_t>(size), std::memory_order_relaxed);
  const std::int64_t live = live_bytes.fetch_add(size, std::memory_order_relaxed) + size;
  if (live > peak_bytes.load(std::memory_order_relaxed)) peak_bytes.store(live, std::memory_order_relaxed);
  return p;
}

void uncount(void* p) noexcept {
  if (p == nullptr || !counting.load(std::memory_order_relaxed)) return;
  live_bytes.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(p)), std::memory_order_relaxed);
}

}  // namespace

// The C library finds these before its own, and so do operator new and delete.
extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* p, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* p);

void* malloc(std::size_t size) { return counted(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) { return counted(__libc_calloc(count, size)); }
void* realloc(void* p, std::size_t size) {
  uncount(p);
  return counted(__libc_realloc(p, size));
}
void* memalign(std::size_t alignment, std::size_t size) { return counted(__libc_memalign(alignment, size)); }
void* aligned_alloc(std::size_t alignment, std::size_t size) { return counted(__libc_memalign(alignment, size)); }
int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* const p = counted(__libc_memalign(alignment, size));
  if (p == nullptr) return ENOMEM;
  *result = p;
  return 0;
}
void free(void* p) {
  uncount(p);
  __libc_free(p);
}

}  // extern "C"

namespace bench {

void start_counting_allocations() noexcept {
  allocations.store(0);
  allocated_bytes.store(0);
  live_bytes.store(0);
  peak_bytes.store(0);
  counting.store(true);
}

allocation_counts stop_counting_allocations() noexcept {
  counting.store(false);
  return {.allocations = allocations.load(), .bytes = allocated_bytes.load(), .peak_bytes = peak_bytes.load()};
}

}  // namespace bench
