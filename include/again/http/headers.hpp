// SPDX-License-Identifier: MIT
/// \file
/// `headers`: the header fields of a message in order, with repeated fields kept and names compared without case (RFC 9110 5).
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// Header fields. Cost: a vector; a look-up compares the names in turn, which is fastest for the few fields of a message.
class headers {
 public:
  struct field {
    field(std::string n, std::string v) : name{std::move(n)}, value{std::move(v)} {}
    field(std::in_place_t /*copied*/, std::string_view n, std::string_view v) : name{n}, value{v} {}
    std::string name, value;
    friend bool operator==(const field&, const field&) = default;
  };

  headers() = default;
  headers(std::initializer_list<field> fields) {
    for (const field& f : fields) add(f.name, f.value);
  }

  /// Appends a field, also if there is one of that name. Spaces and tabs around the value are dropped (RFC 9110 5.5).
  headers& add(std::string name, std::string_view value) {
    fields_.emplace_back(std::move(name), std::string{detail::trim(value)});
    return *this;
  }
  /// The same from texts that are copied: cheaper where they are no strings yet.
  headers& append(std::string_view name, std::string_view value) {
    fields_.emplace_back(std::in_place, name, detail::trim(value));
    return *this;
  }
  /// Appends a further line to the value of the field added last: a line fold is one space (RFC 9112 5.2). There has to be one.
  headers& unfold(std::string_view line) {
    std::string& value = fields_.back().value;
    line = detail::trim(line);
    if (!value.empty() && !line.empty()) value += ' ';
    value += line;
    return *this;
  }
  /// Replaces all fields of that name with one.
  headers& set(std::string name, std::string_view value) {
    erase(name);
    return add(std::move(name), value);
  }
  /// Removes all fields of that name and returns how many there were.
  std::size_t erase(std::string_view name) {
    return std::erase_if(fields_, [&](const field& f) { return detail::equal_ignoring_case(f.name, name); });
  }
  void clear() noexcept { fields_.clear(); }
  void reserve(std::size_t n) { fields_.reserve(n); }

  /// The value of the first field of that name, or `nullopt`. Lifetime: until the headers change.
  std::optional<std::string_view> find(std::string_view name) const noexcept {
    for (const field& f : fields_)
      if (detail::equal_ignoring_case(f.name, name)) return f.value;
    return std::nullopt;
  }
  /// The value of the first field of that name, or `otherwise`.
  std::string_view get(std::string_view name, std::string_view otherwise = {}) const noexcept {
    return find(name).value_or(otherwise);
  }
  /// The values of all fields of that name, in order. Lifetime: until the headers change.
  std::vector<std::string_view> all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const field& f : fields_)
      if (detail::equal_ignoring_case(f.name, name)) values.push_back(f.value);
    return values;
  }
  bool contains(std::string_view name) const noexcept { return find(name).has_value(); }
  std::size_t count(std::string_view name) const noexcept {
    return static_cast<std::size_t>(std::count_if(
        fields_.begin(), fields_.end(), [&](const field& f) { return detail::equal_ignoring_case(f.name, name); }));
  }
  /// Whether `token` is in a comma-separated list of that name, in any case: `has_token("Connection", "close")`.
  bool has_token(std::string_view name, std::string_view token) const noexcept {
    for (const field& f : fields_) {
      if (!detail::equal_ignoring_case(f.name, name)) continue;
      std::string_view rest = f.value;
      while (!rest.empty())
        if (detail::equal_ignoring_case(detail::trim(detail::take_until(rest, ',')), token)) return true;
    }
    return false;
  }

  std::size_t size() const noexcept { return fields_.size(); }
  bool empty() const noexcept { return fields_.empty(); }
  auto begin() const noexcept { return fields_.begin(); }
  auto end() const noexcept { return fields_.end(); }

  friend bool operator==(const headers&, const headers&) = default;

 private:
  std::vector<field> fields_;
};

/// Why this field cannot be sent, or `nullopt`. The name must be a token, and the value must have no control character but a tab
/// (RFC 9110 5.1, 5.5). A field that passes cannot end its line, and so cannot smuggle in another field.
inline std::optional<invalid> validate_field(std::string_view name, std::string_view value) {
  if (name.empty()) return invalid{"a header has no name"};
  for (std::size_t i = 0; i < name.size(); ++i)
    if (!detail::is_token(name[i])) return invalid{"a header's name contains " + detail::shown(name[i]), i};
  for (std::size_t i = 0; i < value.size(); ++i)
    if (detail::is_control(value[i]) && value[i] != '\t')
      return invalid{"header '" + std::string{name} + "': its value contains " + detail::shown(value[i]), i};
  return std::nullopt;
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
