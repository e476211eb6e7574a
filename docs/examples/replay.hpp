// SPDX-License-Identifier: MIT
// Reads dead letters back as events.
#pragma once

#include "event.hpp"

#include <again/sink/dead_letters.hpp>

#include <fmt/format.h>
#include <simdjson.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace programs {

inline std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t group = 0;
    std::size_t padding = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const std::size_t at = digits.find(text[i + j]);
      const bool pad = text[i + j] == '=' && i + 4 == text.size() && j >= 2;
      if ((at == std::string_view::npos && !pad) || (!pad && padding != 0)) return std::nullopt;
      padding += pad ? 1 : 0;
      group = group << 6U | static_cast<std::uint32_t>(pad ? 0 : at);
    }
    for (std::size_t j = 0; j + padding < 3; ++j) out += static_cast<char>(group >> (16U - 8U * j) & 0xffU);
  }
  return out;
}

/// Bytes as `again::dead_letter_line` writes them: a string, or `{"base64": "…"}`.
inline std::optional<std::string> bytes_of(simdjson::simdjson_result<simdjson::dom::element> j) {
  std::string_view text;
  if (j.get(text) == simdjson::SUCCESS) return std::string{text};
  if (j["base64"].get(text) == simdjson::SUCCESS) return from_base64(text);
  return std::nullopt;
}

/// Parses a dead letter, or says what is wrong with it.
inline again::expected<again::event, std::string> parse_dead_letter(simdjson::dom::parser& parser,
                                                                    std::string_view line) {
  using refused = again::unexpected<std::string>;
  const std::string_view object = without_margin(line);
  simdjson::dom::object j;
  const auto problem = parser.parse(object.data(), object.size()).get(j);  // copies, to have room after it
  if (problem == simdjson::MEMALLOC) throw std::bad_alloc{};
  if (problem != simdjson::SUCCESS) return refused{"malformed: not a dead letter"};
  again::event e;
  const std::array<std::pair<std::string_view, std::string*>, 4> texts{
      {{"id", &e.id}, {"key", &e.key}, {"order_key", &e.order_key}, {"body", &e.body}}};
  for (const auto& [name, to] : texts) {
    const bool required = to == &e.id || to == &e.body;
    const auto member = j[name];
    if (member.error() == simdjson::NO_SUCH_FIELD && !required) continue;
    auto bytes = bytes_of(member);
    if (!bytes) return refused{fmt::format("malformed: a dead letter needs '{}'", name)};
    *to = *std::move(bytes);
  }
  simdjson::dom::array list;
  if (const auto headers = j["headers"]; headers.error() != simdjson::NO_SUCH_FIELD) {
    if (headers.get(list) != simdjson::SUCCESS) return refused{"malformed: 'headers' is a list of [name, value]"};
    for (const simdjson::dom::element field : list) {
      std::string_view name;
      const auto value = field.at(0).get(name) == simdjson::SUCCESS ? bytes_of(field.at(1)) : std::nullopt;
      if (!value) return refused{"malformed: 'headers' is a list of [name, value]"};
      e.headers.add(std::string{name}, *value);
    }
  }
  if (const auto only = j["only"]; only.error() != simdjson::NO_SUCH_FIELD) {
    if (only.get(list) != simdjson::SUCCESS) return refused{"malformed: 'only' is a list of names"};
    for (const simdjson::dom::element name : list) {
      std::string_view text;
      if (name.get(text) != simdjson::SUCCESS) return refused{"malformed: 'only' is a list of names"};
      e.only.emplace_back(text);
    }
  }
  return e;
}

}  // namespace programs
