// SPDX-License-Identifier: MIT
/// \file
/// Coroutine frames, recycled per thread by size class: in steady state starting a coroutine allocates nothing.
///
/// Each thread keeps up to `most_kept` bytes of frames of each class of 16 bytes up to 4 KiB (a frame that awaits a retry has
/// more than 1 KiB); larger frames, and all of them under AddressSanitizer (which should see every use after free), come from the global
/// allocator. A frame may be freed on another thread than it was made on: it then belongs to that thread's cache.
#pragma once

#include <again/core/expected.hpp>

#include <array>
#include <cstddef>
#include <new>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool recycle_frames = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool recycle_frames = false;
#else
inline constexpr bool recycle_frames = true;
#endif
#else
inline constexpr bool recycle_frames = true;
#endif

class frame_cache {
 public:
  static void* allocate(std::size_t size) {
    if constexpr (recycle_frames) {
      const std::size_t c = class_of(size);
      if (c < classes) {
        free_frame*& head = mine_.heads[c];
        if (free_frame* const f = head) {
          head = f->next;
          return f;
        }
        return ::operator new(size_of(c));
      }
    }
    return ::operator new(size);
  }

  static void deallocate(void* p, std::size_t size) noexcept {
    if constexpr (recycle_frames) {
      const std::size_t c = class_of(size);
      if (c < classes) {
        free_frame*& head = mine_.heads[c];
        const std::size_t kept = head != nullptr ? head->kept : 0;
        if (kept < mine_.most || opens()) {
          head = ::new (p) free_frame{head, kept + size_of(c)};
          return;
        }
      }
    }
    ::operator delete(p);
  }

 private:
  static constexpr std::size_t step = 16;  // what an allocator rounds to anyway ...
  static constexpr std::size_t least = 8;  // ... together with the word that glibc's keeps beside each block
  static constexpr std::size_t classes = 256;
  static constexpr std::size_t most_kept = std::size_t{64} * 1024;

  struct free_frame {
    free_frame* next;
    std::size_t kept;  // bytes in the list from here on: they cost no counter of their own
  };
  enum class stages : unsigned char { unused, open, closed };
  struct cache {
    std::size_t most;  // 0 before the first frame is freed and after the thread's end
    stages stage;
    std::array<free_frame*, classes> heads;
  };
  // Runs at the thread's end; frames freed still later go straight to the allocator.
  struct cleaner {
    cleaner() noexcept {
      mine_.stage = stages::open;
      mine_.most = most_kept;
    }
    cleaner(const cleaner&) = delete;
    cleaner& operator=(const cleaner&) = delete;
    ~cleaner() {
      mine_.stage = stages::closed;
      mine_.most = 0;
      for (free_frame*& head : mine_.heads) {
        while (free_frame* const f = head) {
          head = f->next;
          ::operator delete(f);
        }
      }
    }
  };
  // True for the first frame that a thread frees.
  [[gnu::noinline]] static bool opens() noexcept {
    if (mine_.stage != stages::unused) return false;
    static thread_local const cleaner at_thread_end{};
    return true;
  }
  // 9 to 24 bytes are class 0, 25 to 40 class 1, ...; what is smaller wraps round to no class.
  static constexpr std::size_t class_of(std::size_t size) noexcept { return (size - least - 1) / step; }
  static constexpr std::size_t size_of(std::size_t c) noexcept { return (c + 1) * step + least; }

  static inline thread_local constinit cache mine_{};
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
