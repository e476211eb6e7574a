// SPDX-License-Identifier: MIT
/// \file
/// Coroutine frames, recycled per thread by size class: in steady state starting a coroutine allocates nothing.
///
/// Each thread keeps up to `most_kept` frames of each class of 64 bytes up to 1 KiB; larger frames, and all of them under
/// AddressSanitizer (which should see every use after free), come from the global allocator. A frame may be freed on another
/// thread than it was made on: it then belongs to that thread's cache.
#pragma once

#include <again/expected.hpp>

#include <array>
#include <cstddef>
#include <new>

namespace again::inline AGAIN_ABI::detail {

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

struct free_frame {
  free_frame* next;
};

class frame_cache {
 public:
  static void* allocate(std::size_t size) {
    if constexpr (recycle_frames) {
      const std::size_t c = class_of(size);
      if (c < classes) {
        list& l = lists_[c];
        if (free_frame* const f = l.head) {
          l.head = f->next;
          --l.kept;
          return f;
        }
        arm_cleaner();
        return ::operator new((c + 1) * step);
      }
    }
    return ::operator new(size);
  }

  static void deallocate(void* p, std::size_t size) noexcept {
    if constexpr (recycle_frames) {
      const std::size_t c = class_of(size);
      if (c < classes && lists_[c].kept < most_kept) {
        list& l = lists_[c];
        if (l.kept == 0) arm_cleaner();  // this thread may only ever free
        l.head = ::new (p) free_frame{l.head};
        ++l.kept;
        return;
      }
    }
    ::operator delete(p);
  }

 private:
  static constexpr std::size_t step = 64;
  static constexpr std::size_t classes = 16;
  static constexpr std::size_t most_kept = 256;

  struct list {
    free_frame* head;
    std::size_t kept;
  };
  // Runs at the thread's end. After it `kept` is full, so that frames freed still later go straight to the allocator.
  struct cleaner {
    cleaner() = default;
    cleaner(const cleaner&) = delete;
    cleaner& operator=(const cleaner&) = delete;
    ~cleaner() {
      for (list& l : lists_) {
        while (free_frame* const f = l.head) {
          l.head = f->next;
          ::operator delete(f);
        }
        l.kept = most_kept;
      }
    }
  };
  static void arm_cleaner() { static thread_local const cleaner at_thread_end{}; }
  static constexpr std::size_t class_of(std::size_t size) noexcept { return (size - 1) / step; }

  static inline thread_local constinit std::array<list, classes> lists_{};
};

}  // namespace again::inline AGAIN_ABI::detail
