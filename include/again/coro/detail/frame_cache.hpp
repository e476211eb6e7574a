// SPDX-License-Identifier: MIT
/// \file
/// A cache of coroutine frames for each thread, by size: in steady state starting a coroutine allocates nothing.
///
/// Frames of up to 4 KiB are kept, in classes of 16 bytes, at most `most_kept` bytes in each class. (A frame that
/// awaits a retry has more than 1 KiB.) Larger frames come from the global allocator. So do all frames under
/// AddressSanitizer, which can then report each use after free, and without POSIX threads. A frame may be freed on another thread than the one
/// that made it: it then belongs to the cache of the thread that frees it.
#pragma once

#include <again/core/expected.hpp>

#include <array>
#include <cstddef>
#include <new>

#if __has_include(<pthread.h>)
#include <pthread.h>
#endif

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

#if defined(__SANITIZE_ADDRESS__) || !__has_include(<pthread.h>)
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
  static constexpr std::size_t step = 16;  // what an allocator rounds to in any case ...
  static constexpr std::size_t least = 8;  // ... including the word that glibc keeps beside each block
  static constexpr std::size_t classes = 256;
  static constexpr std::size_t most_kept = std::size_t{64} * 1024;

  struct free_frame {
    free_frame* next;
    std::size_t kept;  // bytes in the list from here on; so the list needs no counter
  };
  enum class cache_state : unsigned char { unused, open, closed };
  struct cache {
    std::size_t most;  // 0 before the first frame is freed and after the thread's end
    cache_state state;
    std::array<free_frame*, classes> heads;
  };
  // Empties the cache when the thread ends. Frames freed after that go to the global allocator. A POSIX key calls it, and not the
  // destructor of a thread_local: glibc allocates to note one, and ends the program if there is no memory.
  static void clean() noexcept {
    mine_.state = cache_state::closed;
    mine_.most = 0;
    for (free_frame*& head : mine_.heads) {
      while (free_frame* const f = head) {
        head = f->next;
        ::operator delete(f);
      }
    }
  }
  struct end_of_thread {
    end_of_thread() noexcept : made{::pthread_key_create(&key, [](void*) { clean(); }) == 0} {}
    ::pthread_key_t key{};
    bool made;
  };
  // True for the first frame that a thread frees. Without a key nothing is kept.
  [[gnu::noinline]] static bool opens() noexcept {
    if (mine_.state != cache_state::unused) return false;
    static const end_of_thread at_end;
    if (!at_end.made || ::pthread_setspecific(at_end.key, &mine_) != 0) return false;
    mine_.state = cache_state::open;
    mine_.most = most_kept;
    return true;
  }
  // 9 to 24 bytes are class 0, 25 to 40 class 1, ...; smaller sizes wrap around to a number above all classes.
  static constexpr std::size_t class_of(std::size_t size) noexcept { return (size - least - 1) / step; }
  static constexpr std::size_t size_of(std::size_t c) noexcept { return (c + 1) * step + least; }

  static inline thread_local constinit cache mine_{};
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
