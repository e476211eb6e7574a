// SPDX-License-Identifier: MIT
/// \file
/// `journal::error`: why a store did not do what it was asked for, and what to do about it.
///
/// ```cpp
/// auto kept = co_await store.append(std::move(events));
/// if (!kept) log(name(kept.error().kind), kept.error().text);   // "full", "/var/lib/events.db: the disk is full; make room, …"
/// ```
#pragma once

#include <again/core/detail/enumerators.hpp>
#include <again/policy/verdict.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {

/// The list is closed: a `switch` over it needs no `default`.
enum class error_kind : std::uint8_t {
  full,         ///< no room: the disk, a quota, or a bound of the store
  unreachable,  ///< there is no store at that place, or no connection to it
  corrupt,      ///< what is stored cannot be trusted
  read_only,    ///< it can be read and not written
  locked,       ///< another process has it
  version,      ///< it was written by a newer version, or is no journal
  lost_lease,   ///< the lease has ended and the event belongs to another worker, or is finished
  invalid,      ///< what was asked for makes no sense: an event without an id
  shortage,     ///< no memory, descriptor or thread is left on this machine
  io,           ///< reading or writing failed
  cancelled,    ///< stop was requested, or the store was closed, before it was begun
};

/// The enumerator's name, as written above; static storage.
constexpr std::string_view name(error_kind kind) noexcept { return again::detail::enumerator_name(kind); }

/// Whether the same call may succeed later.
constexpr bool may_pass(error_kind kind) noexcept {
  return kind == error_kind::full || kind == error_kind::unreachable || kind == error_kind::read_only ||
         kind == error_kind::locked || kind == error_kind::shortage || kind == error_kind::io;
}

/// A class with constructors, so that it may be written inside a `co_await` expression with g++ 12.
class error {
 public:
  explicit error(error_kind k, std::string sentence = {}) : kind{k}, text{std::move(sentence)} {}

  error_kind kind;
  std::string text;  ///< one sentence: what is wrong, where, and what to do

  /// For `retry`. Every member of a store may be called again: see `journal::store`.
  again::verdict verdict() const noexcept {
    const disposition worth = kind == error_kind::cancelled ? disposition::aborted
                              : may_pass(kind)              ? disposition::transient
                                                            : disposition::permanent;
    return {.kind = worth, .reach = reach::maybe_sent, .name = name(kind)};
  }
};

}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
