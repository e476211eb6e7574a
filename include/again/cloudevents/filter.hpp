// SPDX-License-Identifier: MIT
/// \file
/// `filter`: which events a receiver wants, by their attributes: the dialects `exact`, `prefix`, `suffix`, `all`, `any` and `not` of the
/// CloudEvents Subscriptions API.
///
/// ```cpp
/// auto orders = again::cloudevents::filter::prefix("type", "com.example.order.");
/// auto wanted = again::cloudevents::filter::parse("prefix:type=com.example.order.");      // the same, from a command line
/// if (orders.matches(made)) …
/// ```
///
/// An event without the attribute does not match. Comparisons take account of case. Cost: a walk through the filter; it allocates
/// nothing. Threads: any number may ask at a time.
#pragma once

#include <again/cloudevents/detail/attribute_rules.hpp>
#include <again/cloudevents/event.hpp>
#include <again/core/detail/enumerators.hpp>
#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace cloudevents {

class filter {
 public:
  /// Matches every event.
  filter() = default;

  // Each throws `std::invalid_argument` where the attribute's name or the value is none.
  static filter exact(std::string attribute, std::string value) { return {dialects::exact, attribute, value}; }
  static filter prefix(std::string attribute, std::string value) { return {dialects::prefix, attribute, value}; }
  static filter suffix(std::string attribute, std::string value) { return {dialects::suffix, attribute, value}; }
  static filter all(std::vector<filter> of) { return {dialects::all, std::move(of)}; }
  static filter any(std::vector<filter> of) { return {dialects::any, std::move(of)}; }
  filter operator!() const { return {dialects::not_, {*this}}; }

  /// "exact:type=com.example.made", "prefix:source=/orders", "suffix:type=.made", and each with "not:" before it. Error: what is wrong.
  static expected<filter, http::invalid> parse(std::string_view text);

  bool matches(const event& e) const {
    return matches([&e](std::string_view name) { return e.find(name); });
  }
  /// `find(name)`: the value of that attribute, or `nullopt`; for events that are not held as an `event`.
  template <class Find>
    requires std::convertible_to<std::invoke_result_t<const Find&, std::string_view>, std::optional<std::string_view>>
  bool matches(const Find& find) const {
    const auto one = [&find](const filter& f) { return f.matches(find); };
    switch (dialect_) {
      case dialects::all: return std::all_of(of_.begin(), of_.end(), one);
      case dialects::any: return std::any_of(of_.begin(), of_.end(), one);
      case dialects::not_: return !one(of_.front());
      default: break;
    }
    const std::optional<std::string_view> value = find(attribute_);
    if (!value) return false;
    return dialect_ == dialects::exact    ? *value == value_
           : dialect_ == dialects::prefix ? value->starts_with(value_)
                                          : value->ends_with(value_);
  }

  friend bool operator==(const filter&, const filter&) = default;

 private:
  enum class dialects : std::uint8_t { all, any, not_, exact, prefix, suffix };

  filter(dialects d, std::string& attribute, std::string& value)
      : dialect_{d}, attribute_{std::move(attribute)}, value_{std::move(value)} {
    if (const char* const why = complaint())
      throw std::invalid_argument{std::string{"again::cloudevents::filter: "} + why};
  }
  filter(dialects d, std::vector<filter> of) : dialect_{d}, of_{std::move(of)} {
    if (of_.empty()) throw std::invalid_argument{"again::cloudevents::filter: all and any need a filter"};
  }
  const char* complaint() const noexcept {
    if (!detail::is_attribute_name(attribute_)) return "an attribute's name consists of the letters a to z and digits";
    return value_.empty() ? "the value to compare with is empty" : nullptr;
  }

  dialects dialect_ = dialects::all;
  std::string attribute_, value_;
  std::vector<filter> of_;
};

// ── definitions ──

inline expected<filter, http::invalid> filter::parse(std::string_view text) {
  const auto bad = [](const char* why) { return unexpected<http::invalid>{http::invalid{why}}; };
  if (text.starts_with("not:")) {
    auto inner = parse(text.substr(4));
    return inner ? expected<filter, http::invalid>{!*inner} : inner;
  }
  filter f;
  const std::string_view dialect = http::detail::take_until(text, ':');
  if (dialect == "exact")
    f.dialect_ = dialects::exact;
  else if (dialect == "prefix")
    f.dialect_ = dialects::prefix;
  else if (dialect == "suffix")
    f.dialect_ = dialects::suffix;
  else
    return bad(
        "a filter is exact:NAME=VALUE, prefix:NAME=VALUE or suffix:NAME=VALUE, with not: before it to negate it");
  if (text.find('=') == std::string_view::npos) return bad("a filter compares an attribute with a value: type=VALUE");
  f.attribute_ = http::detail::take_until(text, '=');
  f.value_ = text;
  if (const char* const why = f.complaint()) return bad(why);
  return f;
}

}  // namespace cloudevents
}  // namespace AGAIN_ABI
}  // namespace again
