// SPDX-License-Identifier: MIT
/// \file
/// `attempt_hook`: a function that prepares the header fields of each attempt, for what must be fresh: a signature with a timestamp,
/// a token that was renewed, a trace id.
///
/// ```cpp
/// auto order = http::request::post("/orders").each_attempt([](const http::attempt_info& at, http::headers& fields) {
///   fields.set("X-Sent-At", std::to_string(at.now.time_since_epoch() / 1s));
/// });
/// ```
///
/// - The function may refuse: where it returns a `std::optional<http::invalid>` that is not empty, the attempt fails as
///   `invalid_request` with that sentence, and nothing is sent. An exception of it ends the operation.
/// - What it wrote is checked as `validate` checks a request, for each attempt: it cannot frame the message, set Host, break a line, or
///   change the Idempotency-Key.
/// - Redirects: it is called once for an attempt, not for the hops. To another origin go only the fields of `crosses_origins`.
/// - Thread: that of the attempt's scheduler. Copies of one operation share the function; where they run on several loops, it has to
///   bear calls from several threads.
/// - With g++ 12, give a lambda with captures by value a name before the `co_await` expression that uses it.
/// - Cost: one copy of the request for each attempt; without a hook none.
#pragma once

#include <again/core/clock.hpp>
#include <again/http/headers.hpp>
#include <again/http/invalid.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

class request;

/// The attempt that is about to be sent.
struct attempt_info {
  int number;     ///< from 1
  wall_time now;  ///< by the clock of the attempt's scheduler
  const http::request&
      request;  ///< as it was before the hook: method, target, body and Idempotency-Key are those that are sent
};

/// A shared function that returns nothing or a `std::optional<invalid>`; a copy allocates nothing.
class attempt_hook {
  template <class F> using result_of = std::invoke_result_t<std::decay_t<F>&, const attempt_info&, headers&>;

 public:
  attempt_hook() = default;
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, attempt_hook> &&
             std::invocable<std::decay_t<F>&, const attempt_info&, headers&> &&
             (std::is_void_v<result_of<F>> || std::convertible_to<result_of<F>, std::optional<invalid>>))
  attempt_hook(F&& f) : call_{std::make_shared<const function>(returning_refusal(std::forward<F>(f)))} {}

  explicit operator bool() const noexcept { return call_ != nullptr; }
  /// Why the attempt is not sent, or `nullopt`. There has to be a function.
  std::optional<invalid> operator()(const attempt_info& at, headers& fields) const { return (*call_)(at, fields); }

  /// One that calls this one, and then `next` unless this one refuses.
  attempt_hook then(attempt_hook next) const {
    if (!*this) return next;
    if (!next) return *this;
    return [first = *this, second = std::move(next)](const attempt_info& at, headers& fields) {
      auto refused = first(at, fields);
      return refused ? refused : second(at, fields);
    };
  }

 private:
  using function = std::function<std::optional<invalid>(const attempt_info&, headers&)>;

  template <class F> static function returning_refusal(F&& f) {
    if constexpr (std::is_void_v<result_of<F>>) {
      return [call = std::forward<F>(f)](const attempt_info& at, headers& fields) mutable -> std::optional<invalid> {
        call(at, fields);
        return std::nullopt;
      };
    } else {
      return std::forward<F>(f);
    }
  }

  std::shared_ptr<const function> call_;
};

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
