// SPDX-License-Identifier: MIT
#include "event.hpp"

#include <again/http/idempotency.hpp>

#include <fmt/format.h>
#include <simdjson.h>

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

namespace programs {

namespace {

namespace json = simdjson::ondemand;
using simdjson::ondemand::json_type;

/// Half a sentence on what is wrong with a line.
struct refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string_view type_name(json_type type) noexcept {
  switch (type) {
    case json_type::array: return "array";
    case json_type::object: return "object";
    case json_type::number: return "number";
    case json_type::string: return "string";
    case json_type::boolean: return "boolean";
    case json_type::null: return "null";
  }
  return "value";
}

constexpr std::string_view white_space = " \t\r\n";

/// RFC 8259, section 6. The parser reads numbers when they are asked for, and into 64 bits; here their text is what counts.
bool is_number(std::string_view text) noexcept {
  const auto digits = [&text] {
    const std::size_t n = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(n);
    return n;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool zero = text.starts_with('0');
  const std::size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

/// The text of a number, `true`, `false` or `null`.
std::string_view token_of(json::value& value) {
  const std::string_view text = value.raw_json_token();
  return text.substr(0, text.find_last_not_of(white_space) + 1);
}

/// Reads a value to its end: the parser is lazy, and what nobody reads it does not check.
void read_all(json::value value, int depth) {
  constexpr int deepest = 1000;
  static_assert(deepest < static_cast<int>(simdjson::DEFAULT_MAX_DEPTH));
  if (depth > deepest) throw refused{"more than 1000 levels of nesting"};
  const json_type kind = value.type();
  switch (kind) {
    case json_type::object:
      for (auto field : value.get_object()) {
        static_cast<void>(std::string_view{field.unescaped_key()});
        read_all(field.value(), depth + 1);
      }
      break;
    case json_type::array:
      for (auto element : value.get_array()) read_all(element.value(), depth + 1);
      break;
    case json_type::string: static_cast<void>(std::string_view{value.get_string()}); break;
    case json_type::number:
      if (!is_number(token_of(value))) throw simdjson::simdjson_error{simdjson::NUMBER_ERROR};
      break;
    case json_type::boolean: static_cast<void>(bool{value.get_bool()}); break;
    case json_type::null:
      if (token_of(value) != "null") throw simdjson::simdjson_error{simdjson::N_ATOM_ERROR};
      break;
  }
}

/// A member that decides what the event is.
struct member {
  std::string_view name;
  std::optional<json_type> type{};  ///< nothing: it is not there
  std::string text{};               ///< of a string, or of a number as it was written
};

void read_member(member& m, json::value value) {
  if (m.type) throw refused{fmt::format("'{}' is there twice", m.name)};
  m.type = value.type();
  if (m.type == json_type::string) {
    m.text = std::string_view{value.get_string()};
  } else if (m.type == json_type::number) {
    m.text = token_of(value);
    read_all(value, 2);
  } else {
    read_all(value, 2);
  }
}

void check_end(json::document& document) {
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) throw refused{"something follows the value"};
}

/// JSON that is no object: throws if it is not even JSON.
void check_other(json::document& document, json_type type, std::string_view text) {
  bool sound = true;
  switch (type) {
    case json_type::object: return;
    case json_type::array:
      for (auto element : document.get_array()) read_all(element.value(), 2);
      return check_end(document);
    case json_type::string: static_cast<void>(std::string_view{document.get_string()}); return check_end(document);
    case json_type::number: sound = is_number(text); break;
    case json_type::boolean: sound = text == "true" || text == "false"; break;
    case json_type::null: sound = text == "null"; break;
  }
  if (!sound) throw refused{"this is not JSON"};
}

enum { id, source, type, specversion, partitionkey };
using members = std::array<member, 5>;

members read_object(json::parser& parser, std::string_view text, std::size_t capacity) {
  members found{{{"id"}, {"source"}, {"type"}, {"specversion"}, {"partitionkey"}}};
  json::document document = parser.iterate(simdjson::padded_string_view{text.data(), text.size(), capacity});
  if (const json_type what = document.type(); what != json_type::object) {
    check_other(document, what, text);
    throw std::invalid_argument{std::string{type_name(what)}};
  }
  for (auto field : document.get_object()) {
    const std::string_view key = field.unescaped_key();
    const auto known = std::find_if(found.begin(), found.end(), [&](const member& m) { return m.name == key; });
    if (known != found.end())
      read_member(*known, field.value());
    else
      read_all(field.value(), 2);
  }
  check_end(document);
  return found;
}

}  // namespace

std::string key_of(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const std::string_view part : parts) all.append(std::to_string(part.size())).append(":").append(part);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest.data());
  std::string key;
  for (std::size_t i = 0; i < 16; ++i) {
    constexpr std::string_view hex = "0123456789abcdef";
    (key += hex[digest[i] >> 4U]) += hex[digest[i] & 15U];
  }
  return key;
}

std::string_view without_margin(std::string_view text) noexcept {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  text.remove_prefix(std::min(text.find_first_not_of(white_space), text.size()));
  return text.substr(0, text.find_last_not_of(white_space) + 1);
}

struct event_parser::parser {
  json::parser simd;
};

event_parser::event_parser(std::size_t longest) : parser_{std::make_unique<parser>()} {
  constexpr std::size_t usual = std::size_t{1} << 20U;  // a longer line takes more when it comes
  if (parser_->simd.allocate(std::min(longest, usual)) != simdjson::SUCCESS) throw std::bad_alloc{};
}
event_parser::~event_parser() = default;

again::expected<event, std::string> event_parser::parse(std::string&& line, const line_position& at) {
  using bad = again::unexpected<std::string>;
  event e;
  {
    const std::string_view object = without_margin(line);
    line.erase(0, static_cast<std::size_t>(object.data() - line.data()));
    line.resize(object.size());
    line.append(simdjson::SIMDJSON_PADDING, ' ');  // bytes that the parser may read but does not take for JSON
  }
  const std::string_view object{line.data(), line.size() - simdjson::SIMDJSON_PADDING};
  members found;
  try {
    found = read_object(parser_->simd, object, line.size());
  } catch (const simdjson::simdjson_error& problem) {
    if (problem.error() == simdjson::MEMALLOC) throw std::bad_alloc{};
    return bad{std::string{"malformed: "} + problem.what()};
  } catch (const refused& problem) {
    return bad{std::string{"malformed: "} + problem.what()};
  } catch (const std::invalid_argument& what) {
    return bad{std::string{"unknown: an event is a JSON object, this is "} + what.what()};
  }

  const bool cloud_event = found[specversion].type.has_value();
  if (cloud_event) {
    for (const member* const required : {&found[specversion], &found[id], &found[source], &found[type]}) {
      if (!required->type) return bad{fmt::format("malformed: a CloudEvent needs '{}'", required->name)};
      if (required->type != json_type::string)
        return bad{fmt::format("malformed: '{}' of a CloudEvent is a string, this is {}", required->name,
                               type_name(*required->type))};
      if (required->text.empty()) return bad{fmt::format("malformed: '{}' of a CloudEvent is empty", required->name)};
      if (required == &found[specversion] && required->text != "1.0")
        return bad{fmt::format("unknown: only version 1.0 of CloudEvents is known, this is '{}'", required->text)};
    }
  }
  e.content_type = cloud_event ? "application/cloudevents+json" : "application/json";
  e.order_key = std::move(found[partitionkey].text);
  e.id = std::move(found[id].text);
  const std::string& from = found[source].text;
  // A CloudEvent's source and id are unique together, and readable. With a '#' in the source one could not tell where the id begins.
  if (cloud_event && from.find('#') == std::string::npos) e.key = from + "#" + e.id;
  if (again::http::validate_idempotency_key(e.key)) {
    // Any other object with an id may come again with the same id and new content: its content belongs to its key. One without an id
    // is known by where it was read.
    const std::string place = std::to_string(at.place);
    e.key = cloud_event    ? key_of({from, e.id, ""})
            : e.id.empty() ? key_of({from, "at", at.source, place, object})
                           : key_of({from, e.id, object});
  }
  if (e.id.empty()) e.id = std::string{at.label} + std::to_string(at.number);
  line.resize(object.size());
  e.body = std::move(line);
  return e;
}

}  // namespace programs
