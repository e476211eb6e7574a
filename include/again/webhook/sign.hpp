// SPDX-License-Identifier: MIT
/// \file
/// Signs requests as Standard Webhooks 1.0 has it. `webhook-id` is the same on every attempt, `webhook-timestamp` is fresh on every
/// attempt, and `webhook-signature` has a signature of `id.timestamp.body` by each key.
///
/// ```cpp
/// auto hook = again::webhook::signed_with(keys, "msg_1", again::http::request::post("/hook").body(json));
/// auto sent = co_await again::retry(again::webhook::standard_policy, api.send(hook));    // each attempt is signed afresh
/// ```
///
/// - The bytes that are signed are those that are sent. A body that is not in memory cannot be signed: the attempt fails as
///   `invalid_request`.
/// - An id has no full stop, no space and at most 255 printable ASCII characters.
/// - Lifetime: a `signer` shares its keys. Threads: any number may call it at a time. Cost: a copy of the body for each attempt.
#pragma once

#include <again/core/clock.hpp>
#include <again/http/attempt_hook.hpp>
#include <again/http/headers.hpp>
#include <again/http/invalid.hpp>
#include <again/http/message.hpp>
#include <again/webhook/detail/message_parts.hpp>
#include <again/webhook/signing_keys.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace webhook {

/// The three header fields for a message that is sent at `at`. Error: why this id or time cannot be signed.
inline expected<http::headers, http::invalid> sign(const signing_keys& keys, std::string_view id, wall_time at,
                                                   std::string_view body) {
  using bad = unexpected<http::invalid>;
  if (auto wrong = detail::validate_id(id)) return bad{*std::move(wrong)};
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count();
  if (seconds < 0) return bad{http::invalid{"a webhook cannot be signed with a time before 1970"}};
  const std::string timestamp = std::to_string(seconds);
  http::headers fields;
  fields.add(std::string{id_field}, id);
  fields.add(std::string{timestamp_field}, timestamp);
  fields.add(std::string{signature_field}, keys.signatures(detail::signed_content(id, timestamp, body)));
  return fields;
}

/// Signs each attempt of a request: `request.each_attempt(signer{keys})`. The id is the request's field `webhook-id`, or else its
/// Idempotency-Key.
class signer {
 public:
  explicit signer(signing_keys keys) : keys_{std::move(keys)} {}

  std::optional<http::invalid> operator()(const http::attempt_info& at, http::headers& fields) const {
    const http::body& content = at.request.body();
    const auto bytes = content.absent() ? std::string_view{} : content.bytes();
    if (!bytes) return http::invalid{"a webhook's body has to be in memory to be signed: give it as a string"};
    const auto given = fields.find(id_field);
    const std::string id{given ? *given : std::string_view{at.request.idempotency_key()}};
    if (id.empty())
      return http::invalid{"a webhook needs an id that is the same on every attempt: set the header field webhook-id, "
                           "or an Idempotency-Key"};
    auto made = sign(keys_, id, at.now, *bytes);
    if (!made) return std::move(made.error());
    for (const http::headers::field& f : *made) fields.set(f.name, f.value);
    return std::nullopt;
  }

 private:
  signing_keys keys_;
};

/// The request with that id, signed on each attempt. A receiver takes one id once, so it may be sent again with every method.
inline http::request signed_with(signing_keys keys, std::string_view id, http::request r) {
  r.headers().set(std::string{id_field}, id);
  r.idempotent().each_attempt(signer{std::move(keys)});
  return r;
}

}  // namespace webhook
}  // namespace AGAIN_ABI
}  // namespace again
