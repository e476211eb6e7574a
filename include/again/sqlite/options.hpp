// SPDX-License-Identifier: MIT
/// \file
/// `sqlite::options`: what `sqlite::store` is opened with. Every default is finite.
#pragma once

#include <again/core/clock.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {

/// How long finished events are kept, and how many bytes of them at most; the oldest go first.
struct retention {
  duration_with_unit age;
  std::uint64_t bytes;
};

struct options {
  /// Delivered events. As long as one is kept, its id is known, and an `append` of the same id changes nothing. A day: a producer that
  /// repeats itself does it sooner.
  retention done{std::chrono::hours{24}, std::uint64_t{256} << 20U};
  /// Events that were given up. 30 days: long enough for a person to look at them.
  retention dead{std::chrono::hours{24} * 30, std::uint64_t{1} << 30U};
  /// The size of the file above which `append` is refused: `full`. What is stored can still be delivered and finished. 16 GiB: some ten
  /// millions of events of 1 KiB.
  std::uint64_t max_bytes = std::uint64_t{16} << 30U;
  /// Calls that wait at a time; further ones fail at once: `shortage`. 65 536: those of a busy second.
  std::size_t queue = 65'536;
  /// How long the start and each commit wait for another program that has locked the file, such as `sqlite3`.
  duration_with_unit busy = std::chrono::seconds{5};
  /// A file up to this size is checked as a whole before the store is open; a larger one is checked in the background, and the store
  /// fails from then on where that finds a fault. 128 MiB: read in less than a second.
  std::uint64_t check_first = std::uint64_t{128} << 20U;
};

}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
