// SPDX-License-Identifier: MIT
// An event: a line of JSON with its id and key.
#pragma once

#include <again/core/expected.hpp>
#include <again/http/idempotency.hpp>

#include <nlohmann/json.hpp>

#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace programs {

/// What is sent, and the id under which it is reported.
struct event {
  std::size_t line = 0;
  std::string id;
  std::string key;        ///< its Idempotency-Key: equal on every attempt, at every endpoint and in every run
  std::string order_key;  ///< `partitionkey` of a CloudEvent with the partitioning extension
  std::string content_type;
  std::string body;  ///< the line as it came
};

/// A key of 128 bits, computed from the parts and their lengths with SHA-256. Equal parts make equal keys in every run.
inline std::string key_of(std::initializer_list<std::string_view> parts) {
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

/// Parses a line, or says what is wrong with it. A CloudEvent (https://cloudevents.io, version 1.0) needs the members that its
/// specification requires. Any other JSON object is an event too; its id is its member `id` or its line number.
inline again::expected<event, std::string> parse_event(std::string&& line, std::size_t number) {
  using refused = again::unexpected<std::string>;
  using nlohmann::json;
  json parsed;
  try {
    parsed = json::parse(line);
  } catch (const json::exception& e) {
    const std::string_view what = e.what();
    return refused{"malformed: " + std::string{what.substr(what.find("] ") + 2, 120)}};
  }
  if (!parsed.is_object())
    return refused{std::string{"unknown: an event is a JSON object, this is "} + parsed.type_name()};

  event e;
  e.line = number;
  const auto text = [&parsed](const char* name) -> std::string {
    const auto found = parsed.find(name);
    return found == parsed.end() ? ""
           : found->is_string()  ? found->get<std::string>()
           : found->is_number()  ? found->dump()
                                 : "";
  };
  e.id = text("id");
  const std::string source = text("source");
  e.order_key = text("partitionkey");
  const bool unique = parsed.contains("specversion");
  if (unique) {
    if (text("specversion") != "1.0")
      return refused{"unknown: only version 1.0 of CloudEvents is known, this is '" + text("specversion") + "'"};
    for (const char* const required : {"id", "source", "type"}) {
      if (text(required).empty()) return refused{std::string{"malformed: a CloudEvent needs '"} + required + "'"};
    }
    e.content_type = "application/cloudevents+json";
  } else {
    e.content_type = "application/json";
  }
  if (e.id.empty()) e.id = "line-" + std::to_string(number);
  // Of CloudEvents source and id together are unique, which is readable; any other object may come again with the same id and say
  // something new, so that its content belongs to its key. With a '#' in the source one could not tell where the id begins.
  if (unique && source.find('#') == std::string::npos) e.key = source + "#" + e.id;
  if (again::http::validate_idempotency_key(e.key))
    e.key = key_of({source, e.id, unique ? std::string_view{} : std::string_view{line}});
  e.body = std::move(line);
  return e;
}

}  // namespace programs
