// SPDX-License-Identifier: MIT
// One event: a line of JSON, and what is needed to deliver it.
#pragma once

#include <again/expected.hpp>
#include <again/http/idempotency.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace programs {

/// What is sent, and by which name it is reported.
struct event {
  std::size_t line = 0;
  std::string id;
  std::string key;        ///< its Idempotency-Key: the same on every attempt, every endpoint and every run
  std::string order_key;  ///< of a CloudEvent with the partitioning extension: its partitionkey
  std::string content_type;
  std::string body;  ///< the line as it came
};

/// Reads a line, or says in half a sentence what is wrong with it. A CloudEvent (https://cloudevents.io, version 1.0) must have
/// what its specification asks for; any other JSON object is an event as well, and named after its `id` or its line.
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
  if (parsed.contains("specversion")) {
    if (text("specversion") != "1.0")
      return refused{"unknown: only version 1.0 of CloudEvents is known, this is '" + text("specversion") + "'"};
    for (const char* const required : {"id", "source", "type"}) {
      if (text(required).empty()) return refused{std::string{"malformed: a CloudEvent needs '"} + required + "'"};
    }
    e.content_type = "application/cloudevents+json";
  } else {
    e.content_type = "application/json";
  }
  if (e.id.empty())
    e.id = "line-" + std::to_string(number);
  else
    e.key = source.empty() ? e.id : source + "#" + e.id;  // an id is unique only within its source
  if (again::http::validate_idempotency_key(e.key)) e.key = again::http::fresh_idempotency_key();
  e.body = std::move(line);
  return e;
}

}  // namespace programs
