// SPDX-License-Identifier: MIT
/// \file
/// `http::error`: why a send failed, how far the request got, the response where there is one, and the verdict of the rules.
///
/// ```cpp
/// auto quote = co_await api.get("/quote");
/// if (!quote && quote.error().status() == 404) co_return std::nullopt;
/// if (!quote) log(quote.error().text());          // "reset: connection reset by peer (maybe_sent)"
/// ```
#pragma once

#include <again/core/clock.hpp>
#include <again/http/error_kind.hpp>
#include <again/http/message.hpp>
#include <again/http/retry_after.hpp>
#include <again/http/rules.hpp>
#include <again/http/status.hpp>
#include <again/policy/verdict.hpp>

#include <memory>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// The error of every send. Its verdict is judged when it is made, so that it does not have to hold the rules.
/// Cost: 96 bytes; a copy shares the response. It holds no request, and its texts hold no header value and no target.
class error {
 public:
  /// A complete response whose status is not accepted. Its dates are compared with `now`.
  error(const rules& r, const request_facts& request, response response, wall_time now)
      : error{r, request, error_kind::status, again::reach::answered, {}, std::move(response), now} {}

  /// No complete response. `detail`: half a sentence on the cause, such as "connection reset by peer", without secrets.
  error(const rules& r, const request_facts& request, error_kind kind, again::reach reach, std::string detail = {})
      : kind_{kind}, verdict_{judge(r, request, {.kind = kind, .reach = reach})}, detail_{std::move(detail)} {}

  /// A response that was cut short: `partial` has its status, its headers and the part of its body that arrived.
  error(const rules& r, const request_facts& request, error_kind kind, again::reach reach, std::string detail,
        response partial, wall_time now)
      : kind_{kind},
        verdict_{judge(r, request,
                       {.kind = kind,
                        .reach = reach,
                        .status = partial.status,
                        .retry_after = retry_after(partial.headers, now, r.rate_limit_headers),
                        .should_retry = should_retry(partial.headers)})},
        response_{std::make_shared<const http::response>(std::move(partial))},
        detail_{std::move(detail)} {}

  /// An error with a verdict of yours, for transports and tests.
  error(error_kind kind, const again::verdict& v, std::string detail = {},
        std::shared_ptr<const http::response> response = {})
      : kind_{kind}, verdict_{v}, response_{std::move(response)}, detail_{std::move(detail)} {}

  error_kind kind() const noexcept { return kind_; }
  again::reach reach() const noexcept { return verdict_.reach; }
  /// The response's status; 0 if no response arrived.
  int status() const noexcept { return response_ ? response_->status : verdict_.code; }
  /// The response: complete where `kind()` is `status`, else the part that arrived; null where nothing arrived. Lifetime: that
  /// of the error and its copies.
  const http::response* response() const noexcept { return response_.get(); }
  /// Half a sentence on the cause; may be empty.
  const std::string& detail() const noexcept { return detail_; }
  /// How many redirects were followed before the error. Each was one more request.
  int redirects() const noexcept { return redirects_; }
  error& redirects(int followed) & noexcept { return redirects_ = followed, *this; }
  /// Whether another attempt is worth it and safe, as `retry` asks.
  again::verdict verdict() const noexcept { return verdict_; }

  /// One line: "503 Service Unavailable (answered, Retry-After 2 s)",
  /// "reset: connection reset by peer while waiting for the response (maybe_sent)".
  std::string text() const;

 private:
  error_kind kind_;
  int redirects_ = 0;
  again::verdict verdict_;
  std::shared_ptr<const http::response> response_;
  std::string detail_;
};

// ── definitions ──

namespace detail {
/// "2", "0.42": seconds to the millisecond, without trailing zeros.
inline std::string seconds_text(duration d) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  std::string out = std::to_string(ms / 1000);
  if (ms % 1000 == 0) return out;
  std::string fraction = std::to_string(1000 + ms % 1000).substr(1);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return out + "." + fraction;
}
}  // namespace detail

inline std::string error::text() const {
  std::string out;
  if (kind_ == error_kind::status) {
    out = std::to_string(status());
    if (const auto phrase = reason_phrase(status()); !phrase.empty()) out.append(" ").append(phrase);
    if (verdict_.name == outstanding) out.append(": an earlier attempt with this Idempotency-Key is still processed");
  } else {
    out = name(kind_);
  }
  if (!detail_.empty()) out.append(": ").append(detail_);
  out.append(" (").append(name(verdict_.reach));
  if (redirects_ > 0)
    out.append(", after ").append(std::to_string(redirects_)).append(redirects_ == 1 ? " redirect" : " redirects");
  if (kind_ != error_kind::status && status() != 0) out.append(", status ").append(std::to_string(status()));
  if (verdict_.server_delay >= duration::zero()) {
    out.append(", Retry-After ").append(detail::seconds_text(verdict_.server_delay)).append(" s");
    if (verdict_.server_delay_too_long) out.append(", too long");
  }
  return out += ")";
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
