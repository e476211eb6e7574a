// SPDX-License-Identifier: MIT
/// \file
/// `random_stream`: the random numbers of jitter. `fresh_seed`: a seed from the operating system.
///
/// ```cpp
/// again::random_stream numbers{42};     // the same seed gives the same numbers
/// const double u = numbers.draw();      // uniform in [0, 1)
/// ```
///
/// The generator is SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014). It
/// has one word of state and passes BigCrush. It is not for secrets. A stream can be moved but not copied: a copy would
/// give two retries the same jitter.
#pragma once

#include <again/core/expected.hpp>

#include <cstdint>
#include <utility>

#if __has_include(<sys/random.h>) && __has_include(<unistd.h>)
#include <sys/random.h>
#include <unistd.h>
#define AGAIN_HAS_GETENTROPY 1
#else
#include <chrono>
#endif

namespace again {
inline namespace AGAIN_ABI {

/// SplitMix64's finalizer: a bijection of 64 bits. Inputs that differ little have unrelated outputs.
constexpr std::uint64_t mix(std::uint64_t z) noexcept {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

class random_stream {
 public:
  constexpr explicit random_stream(std::uint64_t seed) noexcept : state_{seed} {}
  random_stream(const random_stream&) = delete;
  random_stream& operator=(const random_stream&) = delete;
  constexpr random_stream(random_stream&& other) noexcept : state_{std::exchange(other.state_, mix(~other.state_))} {}
  constexpr random_stream& operator=(random_stream&& other) noexcept {
    state_ = std::exchange(other.state_, mix(~other.state_));
    return *this;
  }
  ~random_stream() = default;

  /// The next 64 random bits. About 1 ns.
  constexpr std::uint64_t bits() noexcept { return mix(state_ += 0x9e3779b97f4a7c15U); }

  /// The next number, uniform in [0, 1), as `decide` takes it.
  constexpr double draw() noexcept { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

namespace detail {

inline std::uint64_t entropy() noexcept {
  std::uint64_t seed = 0;
#if defined(AGAIN_HAS_GETENTROPY)
  if (::getentropy(&seed, sizeof seed) == 0) return seed;
#else
  seed = static_cast<std::uint64_t>(std::chrono::high_resolution_clock::now().time_since_epoch().count());
#endif
  // No entropy: an address on the stack differs between threads at least.
  return mix(seed ^ static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&seed)));
}

inline long process() noexcept {
#if defined(AGAIN_HAS_GETENTROPY)
  return ::getpid();
#else
  return 0;
#endif
}

}  // namespace detail

/// A seed that differs for each call, also in a process forked from this one. Each thread reads the operating system's
/// entropy once, and once more after a fork; its random numbers are the seeds.
/// Cost: two system calls on a thread's first use, one after that.
inline std::uint64_t fresh_seed() noexcept {
  struct source {
    random_stream seeds{detail::entropy()};
    long process = detail::process();
  };
  thread_local source mine;
  if (const long here = detail::process(); here != mine.process) [[unlikely]] {
    mine.seeds = random_stream{detail::entropy()};
    mine.process = here;
  }
  return mine.seeds.bits();
}

}  // namespace AGAIN_ABI
}  // namespace again

#undef AGAIN_HAS_GETENTROPY
