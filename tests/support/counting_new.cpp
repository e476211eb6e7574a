// SPDX-License-Identifier: MIT
// Replaces the program's operator new and delete by counting ones.
#include "support/counting_new.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(_WIN32)
#include <malloc.h>
#endif

namespace {

std::atomic<std::size_t> made{0};
std::atomic<std::size_t> live{0};
std::atomic<std::size_t> most_live{0};

void* counted(void* p) noexcept {
  if (p == nullptr) return nullptr;
  made.fetch_add(1, std::memory_order_relaxed);
  const std::size_t now = live.fetch_add(1, std::memory_order_relaxed) + 1;
  std::size_t most = most_live.load(std::memory_order_relaxed);
  while (now > most && !most_live.compare_exchange_weak(most, now, std::memory_order_relaxed)) {}
  return p;
}
void* plain(std::size_t size) {
  if (void* const p = counted(std::malloc(size == 0 ? 1 : size))) return p;
  throw std::bad_alloc{};
}
void* aligned(std::size_t size, std::align_val_t alignment) {
  const auto a = static_cast<std::size_t>(alignment);
#if defined(_WIN32)
  if (void* const p = counted(::_aligned_malloc(size, a))) return p;
#else
  if (void* const p = counted(std::aligned_alloc(a, (size + a - 1) / a * a))) return p;
#endif
  throw std::bad_alloc{};
}
void gone(void* p) noexcept {
  if (p == nullptr) return;
  live.fetch_sub(1, std::memory_order_relaxed);
  std::free(p);
}
void aligned_gone(void* p) noexcept {
#if defined(_WIN32)
  if (p == nullptr) return;
  live.fetch_sub(1, std::memory_order_relaxed);
  ::_aligned_free(p);
#else
  gone(p);
#endif
}

}  // namespace

void* operator new(std::size_t size) { return plain(size); }
void* operator new[](std::size_t size) { return plain(size); }
void* operator new(std::size_t size, std::align_val_t a) { return aligned(size, a); }
void* operator new[](std::size_t size, std::align_val_t a) { return aligned(size, a); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(std::malloc(size == 0 ? 1 : size));
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return counted(std::malloc(size == 0 ? 1 : size));
}
void operator delete(void* p) noexcept { gone(p); }
void operator delete[](void* p) noexcept { gone(p); }
void operator delete(void* p, std::size_t) noexcept { gone(p); }
void operator delete[](void* p, std::size_t) noexcept { gone(p); }
void operator delete(void* p, std::align_val_t) noexcept { aligned_gone(p); }
void operator delete[](void* p, std::align_val_t) noexcept { aligned_gone(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { aligned_gone(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { aligned_gone(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { gone(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { gone(p); }

namespace again_test {

std::size_t allocations() noexcept { return made.load(std::memory_order_relaxed); }
std::size_t live_blocks() noexcept { return live.load(std::memory_order_relaxed); }
std::size_t most_live_blocks() noexcept { return most_live.load(std::memory_order_relaxed); }
void reset_most_live_blocks() noexcept { most_live.store(live_blocks(), std::memory_order_relaxed); }

}  // namespace again_test
