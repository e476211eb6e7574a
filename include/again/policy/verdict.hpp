// SPDX-License-Identifier: MIT
/// \file
/// `verdict`: what an error means to a retry: worth another attempt or not, and safe or not. The error type decides; `retry`
/// itself knows nothing of HTTP.
///
/// ```cpp
/// struct db_error { int code; again::verdict verdict() const { return {.kind = again::disposition::permanent}; } };
/// again::verdict again_verdict(const their::error& e);      // in namespace their: for a type that you do not own
/// ```
///
/// An error type with neither is transient with reach `maybe_sent`: it is retried. An error that must not be retried has to say
/// so.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_reason.hpp>

#include <concepts>
#include <cstdint>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {

/// How far a request got. Ordered: `not_sent < maybe_sent < answered`.
enum class reach : std::uint8_t {
  not_sent,    ///< proven: no byte of the request was sent, so that every request is safe to send again
  maybe_sent,  ///< a part of it was sent and no response came: the peer may have acted on it
  answered,    ///< the peer began to respond: it has seen the request
};

/// Worth another attempt?
enum class disposition : std::uint8_t {
  transient,       ///< yes
  permanent,       ///< no: it would fail again
  not_replayable,  ///< another attempt might succeed, but it is not safe to send again
  forbidden,       ///< the peer asked for no further attempt
  aborted,         ///< our own stop cut the attempt short: the error says nothing about the peer
};

/// Trivially copyable, constexpr.
struct verdict {
  disposition kind = disposition::transient;
  again::reach reach = again::reach::maybe_sent;
  /// Whether the operation is safe to start again. Where it is false, an `aborted` or overruled verdict (`.when`) becomes
  /// `not_replayable` and not `transient`.
  bool repeatable = true;
  /// Whether `kind` holds also where our own timeout cut the attempt off, because the error type knows of timeouts. Where it is false,
  /// `permanent` says nothing about such an attempt: see `cut_off`.
  bool judges_timeouts = false;
  /// How long the peer asked us to wait before the next attempt; negative: it did not ask.
  duration server_delay = duration{-1};
  /// The peer asked for a longer wait than the error's own rules allow, and they say stop.
  bool server_delay_too_long = false;
  /// A number for logs, such as an HTTP status; 0: none.
  int code = 0;
  /// One word for logs, such as "reset", with static storage. Empty: none.
  std::string_view name{};

  friend constexpr bool operator==(const verdict&, const verdict&) = default;
};

/// Whether the error of an attempt that our own timeout or deadline cut off was made by the cut: it is `aborted`, or `permanent` from a
/// type that does not know of timeouts.
constexpr bool made_by_cut(const verdict& v) noexcept {
  return v.kind == disposition::aborted || (v.kind == disposition::permanent && !v.judges_timeouts);
}
/// The verdict of such an attempt: `transient` where the operation is safe to start again, else `not_replayable`.
constexpr verdict cut_off(verdict v) noexcept {
  if (made_by_cut(v)) v.kind = v.repeatable ? disposition::transient : disposition::not_replayable;
  return v;
}

/// Names as written above; static storage.
constexpr std::string_view name(reach r) noexcept {
  switch (r) {
    case reach::not_sent: return "not_sent";
    case reach::maybe_sent: return "maybe_sent";
    case reach::answered: return "answered";
  }
  return "unknown";
}
constexpr std::string_view name(disposition d) noexcept {
  switch (d) {
    case disposition::transient: return "transient";
    case disposition::permanent: return "permanent";
    case disposition::not_replayable: return "not_replayable";
    case disposition::forbidden: return "forbidden";
    case disposition::aborted: return "aborted";
  }
  return "unknown";
}

template <class E> struct foreign_verdict;

namespace detail {

/// Why a call stops after an error of this disposition, where no deadline, budget or cancellation decides first.
constexpr stop_reason stop_reason_of(disposition kind) noexcept {
  switch (kind) {
    case disposition::transient: return stop_reason::attempts_exhausted;
    case disposition::permanent: return stop_reason::permanent;
    case disposition::not_replayable: return stop_reason::not_replayable;
    case disposition::forbidden: return stop_reason::server_forbade;
    case disposition::aborted: return stop_reason::cancelled_in_attempt;
  }
  return stop_reason::attempts_exhausted;
}

template <class E>
concept has_member_verdict = requires(const E& e) {
  { e.verdict() } -> std::same_as<again::verdict>;
};
template <class E>
concept has_foreign_verdict = requires(const E& e) {
  { foreign_verdict<E>::of(e) } -> std::same_as<again::verdict>;
};
template <class E>
concept has_adl_verdict = requires(const E& e) {
  { again_verdict(e) } -> std::same_as<again::verdict>;
};

}  // namespace detail

/// For an error type whose namespace is not yours to add to, such as `std::error_code`: specialize it with
/// `static verdict of(const E&)`. `<again/asio/error.hpp>` does.
template <class E> struct foreign_verdict {};

/// The verdict of an error: its member, else its `again_verdict`, else its `foreign_verdict`, else "transient, maybe sent".
template <class E> constexpr verdict verdict_of(const E& error) {
  if constexpr (detail::has_member_verdict<E>) {
    return error.verdict();
  } else if constexpr (detail::has_adl_verdict<E>) {
    return again_verdict(error);
  } else if constexpr (detail::has_foreign_verdict<E>) {
    return foreign_verdict<E>::of(error);
  } else {
    return verdict{};
  }
}

/// The number of a *value* for logs, such as the status of an HTTP response: `again_code(const T&)` in its namespace, else 0.
template <class T> constexpr int code_of(const T& value) {
  if constexpr (requires {
                  { again_code(value) } -> std::same_as<int>;
                }) {
    return again_code(value);
  } else {
    return 0;
  }
}

}  // namespace AGAIN_ABI
}  // namespace again
