// SPDX-License-Identifier: MIT
/// \file
/// `cloudevents::event`: the attributes and the data of a CloudEvent 1.0, and `validate`, the specification's rules for them.
///
/// ```cpp
/// auto made = again::cloudevents::event{"1234", "/orders", "com.example.order.made"}
///                 .time("2026-11-30T12:00:00Z").extension("partitionkey", "7").data(json, "application/json");
/// ```
#pragma once

#include <again/cloudevents/detail/attribute_rules.hpp>
#include <again/http/invalid.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace cloudevents {

/// A name and a value in its canonical string form.
struct attribute {
  enum class types : std::uint8_t { text, integer, boolean };

  attribute(std::string n, std::string v, types t = types::text) : name{std::move(n)}, value{std::move(v)}, type{t} {}
  std::string name, value;
  types type;  ///< decides how JSON writes it
  friend bool operator==(const attribute&, const attribute&) = default;
};

/// Building it refuses nothing: `validate` checks the whole event, and the functions that make a request of it call that.
// A class with constructors, so that it may be written inside a `co_await` expression with g++ 12.
class event {
 public:
  event(std::string id, std::string source, std::string type) {
    set("specversion", "1.0").set("id", std::move(id)).set("source", std::move(source)).set("type", std::move(type));
  }

  event& subject(std::string value) & { return set("subject", std::move(value)); }
  /// When it happened, by RFC 3339: "2018-04-05T17:31:00Z".
  event& time(std::string value) & { return set("time", std::move(value)); }
  event& dataschema(std::string uri) & { return set("dataschema", std::move(uri)); }
  /// An attribute of an extension: lower-case letters and digits. A second one of that name replaces the first.
  event& extension(std::string name, std::string value) & { return set(std::move(name), std::move(value)); }
  template <std::same_as<std::int32_t> Integer> event& extension(std::string name, Integer value) & {
    return set(std::move(name), std::to_string(value), attribute::types::integer);
  }
  template <std::same_as<bool> Boolean> event& extension(std::string name, Boolean value) & {
    return set(std::move(name), value ? "true" : "false", attribute::types::boolean);
  }
  /// The data, which stays as it is, and its media type. Without data the event consists of its attributes.
  event& data(std::string bytes, std::string media_type) & {
    data_ = std::move(bytes);
    return set("datacontenttype", std::move(media_type));
  }

  event&& subject(std::string value) && { return std::move(subject(std::move(value))); }
  event&& time(std::string value) && { return std::move(time(std::move(value))); }
  event&& dataschema(std::string uri) && { return std::move(dataschema(std::move(uri))); }
  template <class Value> event&& extension(std::string name, Value value) && {
    return std::move(extension(std::move(name), std::move(value)));
  }
  event&& data(std::string bytes, std::string media_type) && {
    return std::move(data(std::move(bytes), std::move(media_type)));
  }

  /// In the order in which they were set.
  const std::vector<attribute>& attributes() const noexcept { return attributes_; }
  const std::optional<std::string>& data() const noexcept { return data_; }
  /// The value of the attribute of that name, in its string form. Lifetime: until the event changes.
  std::optional<std::string_view> find(std::string_view name) const noexcept {
    for (const attribute& a : attributes_)
      if (a.name == name) return a.value;
    return std::nullopt;
  }
  std::string_view id() const noexcept { return attributes_[1].value; }
  std::string_view source() const noexcept { return attributes_[2].value; }
  std::string_view type() const noexcept { return attributes_[3].value; }

  friend bool operator==(const event&, const event&) = default;

 private:
  event& set(std::string name, std::string value, attribute::types type = attribute::types::text) {
    for (attribute& a : attributes_)
      if (a.name == name) return a.value = std::move(value), a.type = type, *this;
    attributes_.emplace_back(std::move(name), std::move(value), type);
    return *this;
  }

  std::vector<attribute> attributes_;  // the four that are required come first
  std::optional<std::string> data_;
};

/// Why this is no CloudEvent 1.0, or `nullopt`. The sentence does not repeat a value.
inline std::optional<http::invalid> validate(const event& e) {
  using http::invalid;
  for (const auto& [name, value, type] : e.attributes()) {
    if (!detail::is_attribute_name(name))
      return invalid{"an attribute's name consists of the letters a to z and digits, and is not 'data'"};
    const std::string the = "the attribute '" + name + "' ";
    if (const auto at = detail::forbidden_character(value))
      return invalid{the + "contains a character that CloudEvents do not allow", *at};
    const bool named = name == "id" || name == "type" || name == "subject";
    if (named && value.empty()) return invalid{the + "is empty"};
    if (name == "specversion" && value != "1.0") return invalid{the + "must be 1.0"};
    if (name == "source" && !detail::is_uri(value, false))
      return invalid{the + "must be a URI or a relative reference"};
    if (name == "dataschema" && !detail::is_uri(value, true)) return invalid{the + "must be a URI with its scheme"};
    if (name == "time" && !detail::is_timestamp(value))
      return invalid{the + "must be a time of RFC 3339, such as 2018-04-05T17:31:00Z"};
    if (name == "datacontenttype" && !detail::is_media_type(value))
      return invalid{the + "must be a media type, such as application/json"};
  }
  return std::nullopt;
}

}  // namespace cloudevents
}  // namespace AGAIN_ABI
}  // namespace again
