// SPDX-License-Identifier: MIT
// Preloaded: the Nth allocation of the process fails, once. N is FAIL_MALLOC; 0: none fails. At the end, the number of allocations is
// written to the file FAIL_MALLOC_COUNT, so that a test knows how far N can go.
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {

std::atomic<long> made{0};
long failing = 0;

bool fails() noexcept {
  if (made.fetch_add(1) + 1 != failing) return false;
  errno = ENOMEM;
  return true;
}

[[gnu::constructor]] void begin() {
  const char* const n = std::getenv("FAIL_MALLOC");
  made = 0;
  failing = n != nullptr ? std::atol(n) : 0;
}

[[gnu::destructor]] void end() {
  const long all = made;
  failing = 0;
  const char* const path = std::getenv("FAIL_MALLOC_COUNT");
  std::FILE* const file = path != nullptr ? std::fopen(path, "w") : nullptr;
  if (file == nullptr) return;
  std::fprintf(file, "%ld\n", all);
  std::fclose(file);
}

}  // namespace

extern "C" {
void* malloc(std::size_t size) noexcept { return fails() ? nullptr : __libc_malloc(size); }
void* calloc(std::size_t n, std::size_t size) noexcept { return fails() ? nullptr : __libc_calloc(n, size); }
void* realloc(void* old, std::size_t size) noexcept { return fails() ? nullptr : __libc_realloc(old, size); }
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  return fails() ? nullptr : __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept { return memalign(alignment, size); }
int posix_memalign(void** to, std::size_t alignment, std::size_t size) noexcept {
  void* const p = memalign(alignment, size);
  if (p == nullptr) return ENOMEM;
  *to = p;
  return 0;
}
}
