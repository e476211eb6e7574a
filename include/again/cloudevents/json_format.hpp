// SPDX-License-Identifier: MIT
/// \file
/// The JSON format of CloudEvents 1.0: one event as an object, several as an array. It only writes; a program reads with the JSON
/// library of its choice.
///
/// | datacontenttype | the data stands in |
/// |---|---|
/// | JSON (`*/json`, `*/*+json`) | `data`, byte for byte; data that is no JSON is an error, since it would change the event around it |
/// | `text/*` or XML, in UTF-8 | `data`, as a string |
/// | anything else | `data_base64` |
#pragma once

#include <again/cloudevents/detail/json_syntax.hpp>
#include <again/cloudevents/event.hpp>
#include <again/core/detail/json_writer.hpp>
#include <again/http/invalid.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace cloudevents {

/// Error: why it is no CloudEvent.
inline expected<std::string, http::invalid> to_json(const event& e) {
  using bad = unexpected<http::invalid>;
  if (auto wrong = validate(e)) return bad{*std::move(wrong)};
  std::string out = "{";
  for (const attribute& a : e.attributes()) {
    again::detail::json_member(out, a.name);
    if (a.type == attribute::types::text)
      again::detail::json_string(out, a.value);
    else
      out += a.value;
  }
  if (e.data()) {
    const std::string& data = *e.data();
    const std::string_view media_type = *e.find("datacontenttype");
    if (detail::declares_json(media_type)) {
      if (!detail::is_json(data))
        return bad{http::invalid{"the data is not JSON, as the attribute 'datacontenttype' says"}};
      again::detail::json_member(out, "data") += data;
    } else if (detail::declares_text(media_type) && again::detail::is_utf8(data)) {
      again::detail::json_string(again::detail::json_member(out, "data"), data);
    } else {
      again::detail::json_string(again::detail::json_member(out, "data_base64"), again::detail::base64(data));
    }
  }
  return out += '}';
}

/// A batch. Error: which of the events, counted from 1, is no CloudEvent, and why.
inline expected<std::string, http::invalid> to_json(std::span<const event> events) {
  std::string out = "[";
  for (std::size_t i = 0; i < events.size(); ++i) {
    auto one = to_json(events[i]);
    if (!one)
      return unexpected<http::invalid>{
          http::invalid{"event " + std::to_string(i + 1) + ": " + one.error().reason(), one.error().position()}};
    if (i > 0) out += ',';
    out += *one;
  }
  return out += ']';
}

}  // namespace cloudevents
}  // namespace AGAIN_ABI
}  // namespace again
