// SPDX-License-Identifier: MIT
/// \file
/// The HTTP binding of CloudEvents 1.0: an event as a request, in one of three content modes.
///
/// ```cpp
/// auto hook = again::cloudevents::binary_request(made, "/hook");            // expected<http::request, http::invalid>
/// auto all  = again::cloudevents::batched_request(several, "/hook");        // only where the receiver asked for batches
/// ```
///
/// | mode | body | Content-Type |
/// |---|---|---|
/// | binary | the data, byte for byte; the attributes are header fields `ce-…` | the event's datacontenttype |
/// | structured | the event as JSON | `application/cloudevents+json` |
/// | batched | several events as JSON | `application/cloudevents-batch+json` |
#pragma once

#include <again/cloudevents/event.hpp>
#include <again/cloudevents/json_format.hpp>
#include <again/core/detail/enumerators.hpp>
#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>
#include <again/http/message.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace cloudevents {

enum class content_mode : std::uint8_t { binary, structured, batched };
/// The enumerator's name, as written above; static storage.
constexpr std::string_view name(content_mode m) noexcept { return again::detail::enumerator_name(m); }
/// The mode of that name. Error: a sentence with all names.
inline expected<content_mode, http::invalid> parse_content_mode(std::string_view text) {
  std::string names;
  for (const content_mode m : again::detail::enumerators<content_mode>) {
    if (name(m) == text) return m;
    http::detail::append_item(names, name(m));
  }
  return unexpected<http::invalid>{
      http::invalid{"no content mode is called '" + std::string{text} + "'; there are: " + names}};
}

inline constexpr std::string_view structured_content_type = "application/cloudevents+json; charset=utf-8";
inline constexpr std::string_view batched_content_type = "application/cloudevents-batch+json; charset=utf-8";

/// The value of a `ce-…` header field: space, quote, percent and what is no printable ASCII as percent codes (3.1.3.2).
inline std::string header_value(std::string_view value) {
  return http::detail::percent_encode(
      value, [](char c) { return c <= ' ' || c == '"' || c == '%' || c == '\x7f' || !http::detail::is_ascii(c); });
}

inline expected<http::request, http::invalid> binary_request(const event& e, std::string target = "/") {
  if (auto wrong = validate(e)) return unexpected<http::invalid>{*std::move(wrong)};
  http::request r = http::request::post(std::move(target));
  for (const attribute& a : e.attributes()) {
    if (a.name == "datacontenttype")
      r.header("Content-Type", a.value);
    else
      r.header("ce-" + a.name, header_value(a.value));
  }
  if (e.data()) r.body(*e.data());
  return r;
}

inline expected<http::request, http::invalid> structured_request(const event& e, std::string target = "/") {
  auto json = to_json(e);
  if (!json) return unexpected<http::invalid>{std::move(json.error())};
  return http::request::post(std::move(target)).header("Content-Type", structured_content_type).body(*std::move(json));
}

/// A sender must not use it unless the receiver asked for batches.
inline expected<http::request, http::invalid> batched_request(std::span<const event> events, std::string target = "/") {
  auto json = to_json(events);
  if (!json) return unexpected<http::invalid>{std::move(json.error())};
  return http::request::post(std::move(target)).header("Content-Type", batched_content_type).body(*std::move(json));
}

}  // namespace cloudevents
}  // namespace AGAIN_ABI
}  // namespace again
