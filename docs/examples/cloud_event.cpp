// SPDX-License-Identifier: MIT
#include "cloud_event.hpp"

#include "options.hpp"
#include "replay.hpp"

#include <again/cloudevents/detail/attribute_rules.hpp>
#include <again/cloudevents/event.hpp>
#include <again/http/detail/chars.hpp>

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <new>
#include <stdexcept>

namespace programs {
namespace {

namespace ce = again::cloudevents;
namespace json = simdjson::ondemand;
using json::json_type;

/// Half a sentence on why an event has no such mode.
struct unfit : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string_view trimmed(std::string_view token) noexcept {
  return token.substr(0, token.find_last_not_of(" \t\r\n") + 1);
}
/// The bytes of a value as they were read.
std::string_view bytes_of(json::value value) {
  switch (value.type()) {
    case json_type::object: {
      json::object whole = value.get_object();
      return trimmed(std::string_view{whole.raw_json()});
    }
    case json_type::array: {
      json::array whole = value.get_array();
      return trimmed(std::string_view{whole.raw_json()});
    }
    default: return trimmed(value.raw_json_token());
  }
}

void add_attribute(ce::event& to, const std::string& name, json::value value) {
  static constexpr std::array<std::string_view, 4> texts{"subject", "time", "dataschema", "datacontenttype"};
  const json_type type = value.type();
  const bool text = type == json_type::string;
  if (!text && std::find(texts.begin(), texts.end(), name) != texts.end())
    throw unfit{fmt::format("the attribute '{}' is no string", name)};
  switch (type) {
    case json_type::string: to.extension(name, std::string{std::string_view{value.get_string()}}); return;
    case json_type::boolean: to.extension(name, bool{value.get_bool()}); return;
    case json_type::number: {
      const auto number = whole_number<std::int32_t>(trimmed(value.raw_json_token()));
      if (!number) throw unfit{fmt::format("the attribute '{}' is no integer of 32 bits", name)};
      to.extension(name, *number);
      return;
    }
    case json_type::null: return;  // as if it were not there
    case json_type::object:
    case json_type::array: throw unfit{fmt::format("the attribute '{}' is an object or a list", name)};
  }
}

struct content {
  std::string raw;                          // the bytes of `data` as they were read; empty: there is none
  std::optional<std::string> text, binary;  // of `data`, if it is a string; of `data_base64`
};

void add_data(ce::event& to, content&& c) {
  const std::string type{to.find("datacontenttype").value_or("application/json")};
  if (c.binary) {
    if (!c.raw.empty()) throw unfit{"it has both 'data' and 'data_base64'"};
    to.data(*std::move(c.binary), type);
  } else if (!c.raw.empty()) {
    if (ce::detail::declares_json(type))
      to.data(std::move(c.raw), type);
    else if (c.text)
      to.data(*std::move(c.text), type);
    else
      throw unfit{fmt::format("its data is no string, and no JSON by its datacontenttype {}", type)};
  }
}

/// `text` is an object that `event_parser` has taken for a CloudEvent.
ce::event read(const std::string& text) {
  json::parser parser;
  const simdjson::padded_string padded{text};
  json::document document = parser.iterate(padded);
  ce::event e{"", "", ""};
  content c;
  std::vector<std::string> names;
  for (auto field : document.get_object()) {
    std::string name{std::string_view{field.unescaped_key()}};
    if (std::find(names.begin(), names.end(), name) != names.end())
      throw unfit{fmt::format("'{}' is there twice", name)};
    json::value value = field.value();
    if (name == "data") {
      if (value.type() == json_type::string) {
        c.raw = trimmed(value.raw_json_token());
        c.text.emplace(std::string_view{value.get_string()});
      } else if (value.type() != json_type::null) {
        c.raw = bytes_of(value);
      }
    } else if (name == "data_base64") {
      if (value.type() == json_type::null) continue;
      std::optional<std::string> bytes;
      if (value.type() == json_type::string) bytes = from_base64(std::string_view{value.get_string()});
      if (!bytes) throw unfit{"its 'data_base64' is no base64"};
      c.binary = std::move(bytes);
    } else {
      add_attribute(e, name, value);
    }
    names.push_back(std::move(name));
  }
  add_data(e, std::move(c));
  return e;
}

again::event in_binary(std::string&& id, const std::string& text) {
  const ce::event e = read(text);
  auto made = ce::binary_request(e);
  if (!made) throw unfit{made.error().text()};
  return again::event{std::move(id), e.data().value_or(""), made->headers()};
}

/// The members that are no objects or lists. Numbers of any size are texts here.
using attribute_list = std::vector<std::pair<std::string, std::string>>;
void read_members(json::object object, attribute_list& to) {
  for (auto field : object) {
    std::string name{std::string_view{field.unescaped_key()}};
    json::value value = field.value();
    switch (value.type()) {
      case json_type::string: to.emplace_back(std::move(name), std::string_view{value.get_string()}); break;
      case json_type::number:
      case json_type::boolean: to.emplace_back(std::move(name), trimmed(value.raw_json_token())); break;
      default: break;
    }
  }
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? again::http::detail::hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? again::http::detail::hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(static_cast<unsigned char>(high * 16 + low));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

constexpr std::string_view field_prefix = "ce-";
bool is_attribute_field(std::string_view name) noexcept {
  return name.size() > field_prefix.size() &&
         again::http::detail::equal_ignoring_case(name.substr(0, field_prefix.size()), field_prefix);
}

std::string attribute_of(std::string_view field) {
  std::string name{field.substr(field_prefix.size())};
  std::transform(name.begin(), name.end(), name.begin(), again::http::detail::lower);
  return name;
}

}  // namespace

again::expected<again::event, std::string> in_mode(event&& e, std::optional<ce::content_mode> mode, bool typed) {
  using refused = again::unexpected<std::string>;
  const bool cloud_event = e.content_type == "application/cloudevents+json";
  if (mode && !cloud_event)
    return refused{fmt::format("unknown: it is no CloudEvent (no 'specversion'), and --ce-mode {} sends no other event",
                               name(*mode))};
  again::event out;
  if (mode == ce::content_mode::binary) {
    try {
      out = in_binary(std::move(e.id), e.body);
    } catch (const unfit& why) {
      return refused{fmt::format("malformed: {}", why.what())};
    } catch (const simdjson::simdjson_error& problem) {
      if (problem.error() == simdjson::MEMALLOC) throw std::bad_alloc{};
      return refused{std::string{"malformed: "} + problem.what()};
    }
  } else {
    const bool batched = mode == ce::content_mode::batched;
    out = again::event{std::move(e.id), batched ? "[" + e.body + "]" : std::move(e.body)};
    if (!typed) out.headers.add("Content-Type", batched ? "application/cloudevents-batch+json" : e.content_type);
  }
  out.key = std::move(e.key);
  out.order_key = std::move(e.order_key);
  return out;
}

again::expected<ce::event, std::string> event_of_fields(const again::http::headers& fields, std::string&& body) {
  using refused = again::unexpected<std::string>;
  ce::event e{"", "", ""};
  std::vector<std::string> names;
  for (const auto& [name, value] : fields) {
    if (!is_attribute_field(name)) continue;
    std::string attribute = attribute_of(name);
    if (std::find(names.begin(), names.end(), attribute) != names.end())
      return refused{fmt::format("ce-{} is there twice", attribute)};
    if (attribute == "datacontenttype") return refused{"ce-datacontenttype is the Content-Type in this mode"};
    e.extension(attribute, percent_decoded(value));
    names.push_back(std::move(attribute));
  }
  const auto type = fields.find("Content-Type");
  if (!body.empty() && !type) return refused{"data needs a Content-Type"};
  if (!body.empty())
    e.data(std::move(body), std::string{*type});
  else if (type)
    e.extension("datacontenttype", std::string{*type});
  if (const auto wrong = validate(e)) return refused{wrong->text()};
  return e;
}

event_attributes::event_attributes(const again::event& e) {
  if (e.headers.contains("ce-specversion")) {
    for (const auto& [name, value] : e.headers) {
      if (!is_attribute_field(name)) continue;
      all_.emplace_back(attribute_of(name), percent_decoded(value));
    }
    if (const auto type = e.headers.find("Content-Type")) all_.emplace_back("datacontenttype", *type);
    return;
  }
  try {
    json::parser parser;
    const simdjson::padded_string padded{e.body};
    json::document document = parser.iterate(padded);
    if (document.type() == json_type::array) {
      for (auto one : document.get_array()) {  // of a batch, which has one
        read_members(one.get_object(), all_);
        break;
      }
    } else {
      read_members(document.get_object(), all_);
    }
  } catch (const simdjson::simdjson_error& problem) {  // another program's event: it has what was found so far
    if (problem.error() == simdjson::MEMALLOC) throw std::bad_alloc{};
  }
}

}  // namespace programs
