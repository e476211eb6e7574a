// SPDX-License-Identifier: MIT
// Reads dead letters back as events.
#pragma once

#include "event.hpp"

#include <again/sink/dead_letters.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
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
inline std::optional<std::string> bytes_of(const nlohmann::json& j) {
  if (j.is_string()) return j.get<std::string>();
  if (!j.is_object() || !j.contains("base64") || !j["base64"].is_string()) return std::nullopt;
  return from_base64(j["base64"].get<std::string>());
}

/// Parses a dead letter, or says what is wrong with it.
inline again::expected<again::event, std::string> parse_dead_letter(const std::string& line) {
  using refused = again::unexpected<std::string>;
  const nlohmann::json j = nlohmann::json::parse(line, nullptr, false);
  if (!j.is_object()) return refused{"malformed: not a dead letter"};
  again::event e;
  const std::array<std::pair<const char*, std::string*>, 4> texts{
      {{"id", &e.id}, {"key", &e.key}, {"order_key", &e.order_key}, {"body", &e.body}}};
  for (const auto& [name, to] : texts) {
    const bool required = to == &e.id || to == &e.body;
    if (!j.contains(name) && !required) continue;
    auto bytes = j.contains(name) ? bytes_of(j[name]) : std::nullopt;
    if (!bytes) return refused{std::string{"malformed: a dead letter needs '"} + name + "'"};
    *to = *std::move(bytes);
  }
  for (const nlohmann::json& field : j.value("headers", nlohmann::json::array())) {
    const auto value =
        field.is_array() && field.size() == 2 && field[0].is_string() ? bytes_of(field[1]) : std::nullopt;
    if (!value) return refused{"malformed: 'headers' is a list of [name, value]"};
    e.headers.add(field[0].get<std::string>(), *value);
  }
  for (const nlohmann::json& name : j.value("only", nlohmann::json::array())) {
    if (!name.is_string()) return refused{"malformed: 'only' is a list of names"};
    e.only.push_back(name.get<std::string>());
  }
  return e;
}

}  // namespace programs
