// SPDX-License-Identifier: MIT
/// \file
/// Just enough JSON to read test vectors; throws `std::runtime_error` with the position of the first fault.
#pragma once

#include <cstddef>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace support::json {

class value {
 public:
  using list = std::vector<value>;
  using map = std::map<std::string, value, std::less<>>;

  value() = default;
  template <class T> explicit value(T held) : held_{std::move(held)} {}

  bool is_null() const { return std::holds_alternative<std::monostate>(held_); }
  bool is_string() const { return std::holds_alternative<std::string>(held_); }
  bool is_number() const { return std::holds_alternative<double>(held_); }
  bool is_bool() const { return std::holds_alternative<bool>(held_); }
  bool is_array() const { return std::holds_alternative<list>(held_); }
  bool is_object() const { return std::holds_alternative<map>(held_); }

  const std::string& string() const { return get<std::string>("a string"); }
  double number() const { return get<double>("a number"); }
  bool boolean() const { return get<bool>("a boolean"); }
  const list& array() const { return get<list>("an array"); }
  const map& object() const { return get<map>("an object"); }

  /// The member of that name; null where there is none.
  const value& operator[](std::string_view name) const {
    static const value null;
    if (!is_object()) return null;
    const auto at = object().find(name);
    return at == object().end() ? null : at->second;
  }
  bool contains(std::string_view name) const { return is_object() && object().find(name) != object().end(); }
  std::string string_or(const std::string& otherwise) const { return is_string() ? string() : otherwise; }
  double number_or(double otherwise) const { return is_number() ? number() : otherwise; }
  bool boolean_or(bool otherwise) const { return is_bool() ? boolean() : otherwise; }

 private:
  template <class T> const T& get(const char* what) const {
    if (const T* held = std::get_if<T>(&held_)) return *held;
    throw std::runtime_error{std::string{"JSON: not "} + what};
  }
  std::variant<std::monostate, bool, double, std::string, list, map> held_;
};

class parser {
 public:
  explicit parser(std::string_view text) : text_{text} {}
  value document() {
    value v = any();
    skip();
    if (at_ != text_.size()) fail("something after the end");
    return v;
  }

 private:
  [[noreturn]] void fail(const char* why) const {
    throw std::runtime_error{"JSON: " + std::string{why} + " at " + std::to_string(at_)};
  }
  void skip() {
    while (at_ < text_.size() && std::string_view{" \t\r\n"}.find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void need(char c) {
    if (!take(c)) fail("unexpected character");
  }
  bool word(std::string_view w) {
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }
  value any() {
    skip();
    if (at_ == text_.size()) fail("unexpected end");
    if (text_[at_] == '"') return value{string()};
    if (take('[')) {
      value::list items;
      if (take(']')) return value{std::move(items)};
      do items.push_back(any());
      while (take(','));
      need(']');
      return value{std::move(items)};
    }
    if (take('{')) {
      value::map members;
      if (take('}')) return value{std::move(members)};
      do {
        skip();
        std::string name = string();
        need(':');
        members.insert_or_assign(std::move(name), any());
      } while (take(','));
      need('}');
      return value{std::move(members)};
    }
    if (word("true")) return value{true};
    if (word("false")) return value{false};
    if (word("null")) return value{};
    const auto end = text_.find_first_not_of("+-.0123456789eE", at_);
    const std::string digits{text_.substr(at_, end - at_)};
    if (digits.empty()) fail("no value");
    at_ += digits.size();
    return value{std::stod(digits)};
  }
  std::string string() {
    need('"');
    std::string out;
    while (true) {
      if (at_ >= text_.size()) fail("unterminated string");
      const char c = text_[at_++];
      if (c == '"') return out;
      if (c != '\\') {
        out += c;
        continue;
      }
      if (at_ >= text_.size()) fail("unterminated string");
      const char escape = text_[at_++];
      if (escape == 'u') {
        append_utf8(out, code_point());
      } else {
        constexpr std::string_view from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
        const auto which = from.find(escape);
        if (which == std::string_view::npos) fail("unknown escape");
        out += to[which];
      }
    }
  }
  unsigned hex4() {
    if (at_ + 4 > text_.size()) fail("unterminated escape");
    const unsigned code = static_cast<unsigned>(std::stoul(std::string{text_.substr(at_, 4)}, nullptr, 16));
    at_ += 4;
    return code;
  }
  unsigned code_point() {
    const unsigned high = hex4();
    if (high < 0xd800 || high > 0xdbff) return high;
    if (!word("\\u")) fail("half a surrogate pair");
    return 0x10000 + ((high - 0xd800) << 10U) + (hex4() - 0xdc00);
  }
  static void append_utf8(std::string& out, unsigned code) {
    const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) return put(0xc0U | code >> 6U), put(0x80U | (code & 63U));
    if (code < 0x10000) return put(0xe0U | code >> 12U), put(0x80U | (code >> 6U & 63U)), put(0x80U | (code & 63U));
    put(0xf0U | code >> 18U), put(0x80U | (code >> 12U & 63U)), put(0x80U | (code >> 6U & 63U)),
        put(0x80U | (code & 63U));
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

inline value parse(std::string_view text) { return parser{text}.document(); }

inline value read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file) throw std::runtime_error{"cannot read " + path};
  std::ostringstream text;
  text << file.rdbuf();
  return parse(text.str());
}

}  // namespace support::json
