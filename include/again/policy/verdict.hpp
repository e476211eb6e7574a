// SPDX-License-Identifier: MIT
/// \file
/// `verdict`: what an error means to a retry. The error type responses; `retry` itself knows nothing of HTTP.
///
/// Give your error type a member `again::verdict verdict() const`, or for a type you do not own a function
/// `again::verdict again_verdict(const E&)` in its namespace. An error type that says nothing is transient with reach
/// `maybe_sent`: it is retried, and everything that must not be sent twice has to say so.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/enumerators.hpp>
#include <again/core/stop_reason.hpp>

#include <concepts>
#include <cstdint>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {

/// How far a request got. Ordered: `not_sent < maybe_sent < answered`.
enum class reach : std::uint8_t {
  not_sent,    ///< proven: not one byte of it left; safe to send again whatever it asks for
  maybe_sent,  ///< some of it left and no response came: the peer may have acted on it
  answered,    ///< the peer began to respond: it has seen the request
};

/// Worth another attempt?
enum class disposition : std::uint8_t {
  transient,       ///< yes
  permanent,       ///< no: it would fail again
  not_replayable,  ///< it might help, but it is not safe to send again
  forbidden,       ///< the peer asked not to be asked again
  aborted,         ///< our own stop cut the attempt short: it says nothing of the peer
};

struct verdict {
  disposition kind = disposition::transient;
  again::reach reach = again::reach::maybe_sent;
  /// Safe to send again? Says what an `aborted` or overruled verdict (`.when`) may become: false makes it `not_replayable`.
  bool repeatable = true;
  /// What the peer asked us to wait before the next attempt; negative: it did not say.
  duration server_delay = duration{-1};
  /// The peer asked for more than the rules allow, and the rules say stop.
  bool server_delay_too_long = false;
  /// A number for logs, such as an HTTP status; 0: none.
  int code = 0;
  /// One word for logs, such as "reset"; must have static storage. Empty: none.
  std::string_view name{};

  friend constexpr bool operator==(const verdict&, const verdict&) = default;
};

/// Names as written above; static storage.
constexpr std::string_view name(reach r) noexcept { return detail::enumerator_name(r); }
constexpr std::string_view name(disposition d) noexcept { return detail::enumerator_name(d); }

namespace detail {

/// Why a call stops after an error of this disposition, where no deadline, budget or cancellation decides first.
constexpr stop_reason reason_for(disposition kind) noexcept {
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
concept has_adl_verdict = requires(const E& e) {
  { again_verdict(e) } -> std::same_as<again::verdict>;
};

}  // namespace detail

/// The verdict of an error: its member, else its `again_verdict`, else "transient, maybe sent".
template <class E> constexpr verdict verdict_of(const E& error) {
  if constexpr (detail::has_member_verdict<E>) {
    return error.verdict();
  } else if constexpr (detail::has_adl_verdict<E>) {
    return again_verdict(error);
  } else {
    return verdict{};
  }
}

/// The number a *value* has for logs (an HTTP response its status): `again_code(const T&)` in its namespace, else 0.
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
