// SPDX-License-Identifier: MIT
#include "posted_events.hpp"

#include "cloud_event.hpp"
#include "journal_id.hpp"

#include <again/cloudevents/http_binding.hpp>
#include <again/http/detail/chars.hpp>
#include <again/http/idempotency.hpp>

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

namespace programs {
namespace {

namespace ce = again::cloudevents;
using again::http::headers;
using again::http::detail::equal_ignoring_case;
using again::http::detail::take_until;
using again::http::detail::trim;

enum class form : std::uint8_t { one, lines, structured, batch, binary };

bool is_cloud_event(std::string_view media_type) noexcept { return media_type.starts_with("application/cloudevents"); }
std::string lower(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(), again::http::detail::lower);
  return out;
}

/// Only UTF-8 is JSON (RFC 8259 8.1).
bool other_charset(std::string_view media_type) {
  take_until(media_type, ';');
  while (!media_type.empty()) {
    std::string_view value = take_until(media_type, ';');
    const std::string_view name = trim(take_until(value, '='));
    value = trim(value);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (equal_ignoring_case(name, "charset") && !equal_ignoring_case(value, "utf-8")) return true;
  }
  return false;
}

/// As the HTTP binding of CloudEvents (3) has it: a media type of CloudEvents decides, then the field ce-specversion.
again::expected<form, refused_post> form_of(const headers& fields) {
  using bad = again::unexpected<refused_post>;
  const auto given = fields.find("Content-Type");
  if (fields.count("Content-Type") > 1) return bad{refused_post{400, "Content-Type is there twice"}};
  if (const auto coding = fields.find("Content-Encoding"); coding && !equal_ignoring_case(trim(*coding), "identity"))
    return bad{refused_post{415, "a Content-Encoding is not taken: send the events as they are"}};
  const std::string media_type = lower(trim(given.value_or("").substr(0, given.value_or("").find(';'))));
  const bool binary = !is_cloud_event(media_type) && fields.contains("ce-specversion");
  if (binary) return form::binary;
  if (given && other_charset(*given)) return bad{refused_post{415, "events are in UTF-8: charset=utf-8, or none"}};
  if (media_type == "application/json") return form::one;
  if (media_type == "application/x-ndjson" || media_type == "application/ndjson" || media_type == "application/jsonl")
    return form::lines;
  if (media_type == "application/cloudevents+json") return form::structured;
  if (media_type == "application/cloudevents-batch+json") return form::batch;
  return bad{refused_post{415,
                          "the Content-Type is application/json (one event), application/x-ndjson (one per line), "
                          "application/cloudevents+json, application/cloudevents-batch+json, or that of the data of a "
                          "CloudEvent in binary mode (ce-specversion, ce-id, ...)"}};
}

/// The elements of a JSON array, as they were written. Each is looked into by whoever takes it. Error: this is none.
again::expected<std::vector<std::string>, refused_post> elements_of(std::string&& body) {
  using bad = again::unexpected<refused_post>;
  namespace json = simdjson::ondemand;
  std::vector<std::string> all;
  const std::size_t size = body.size();
  body.append(simdjson::SIMDJSON_PADDING, ' ');
  try {
    json::parser parser;
    json::document document = parser.iterate(simdjson::padded_string_view{body.data(), size, body.size()});
    if (document.type() != json::json_type::array)
      return bad{refused_post{400, "malformed: a batch is a JSON array of CloudEvents"}};
    for (auto one : document.get_array()) {
      if (all.size() == listen_options::most_events)
        return bad{refused_post{413, fmt::format("more than {} events", listen_options::most_events)}};
      json::value element = one.value();
      std::string_view text;
      switch (element.type()) {
        case json::json_type::object: {
          json::object object = element.get_object();
          text = object.raw_json();
          break;
        }
        case json::json_type::array: {
          json::array array = element.get_array();
          text = array.raw_json();
          break;
        }
        default: text = element.raw_json_token();
      }
      all.emplace_back(text);
    }
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
      return bad{refused_post{400, "malformed: something follows the array"}};
  } catch (const simdjson::simdjson_error& problem) {
    if (problem.error() == simdjson::MEMALLOC) throw std::bad_alloc{};
    return bad{refused_post{400, std::string{"malformed: "} + problem.what()}};
  }
  return all;
}

}  // namespace

/// Where the events come from: what tells two apart that are equal and have no id.
struct post_reader::origin {
  explicit origin(const headers& fields)
      : name{"post " + std::string{fields.find("Idempotency-Key").value_or(again::http::fresh_idempotency_key())}},
        label{key_of({name}).substr(0, 12) + "-"} {}
  line_position at(std::size_t place) const { return {name, place, place + 1, label}; }

  std::string name, label;
};

again::expected<void, refused_post> post_reader::check(const headers& fields) {
  auto known = form_of(fields);
  if (!known) return again::unexpected<refused_post>{std::move(known.error())};
  return {};
}

again::expected<posted_events, refused_post> post_reader::read(const headers& fields, std::string&& body) {
  using bad = again::unexpected<refused_post>;
  const auto known = form_of(fields);
  if (!known) return bad{known.error()};
  const origin from{fields};
  posted_events all;
  switch (*known) {
    case form::binary: {
      auto e = binary(fields, std::move(body), from);
      if (e)
        all.events.push_back(stored(*std::move(e)));
      else
        all.refused.push_back({0, std::move(e.error())});
      return all;
    }
    case form::one:
    case form::structured: add(all, std::move(body), from, *known == form::structured); return all;
    case form::batch: {
      auto elements = elements_of(std::move(body));
      if (!elements) return bad{std::move(elements.error())};
      for (std::string& text : *elements) add(all, std::move(text), from, true);
      return all;
    }
    case form::lines: break;
  }
  for (std::string_view rest = body; !rest.empty();) {
    std::string_view line = take_until(rest, '\n');
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (all.events.size() + all.refused.size() == listen_options::most_events)
      return bad{refused_post{413, fmt::format("more than {} events", listen_options::most_events)}};
    add(all, std::string{line}, from, false);
  }
  if (all.events.empty() && all.refused.empty()) return bad{refused_post{400, "there is no event in it"}};
  return all;
}

void post_reader::add(posted_events& to, std::string&& text, const origin& from, bool cloud_event) {
  const std::size_t place = to.events.size() + to.refused.size();
  const auto refuse = [&](std::string why) { to.refused.push_back({place, std::move(why)}); };
  if (text.size() > settings_.longest) return refuse(fmt::format("oversized: more than {} bytes", settings_.longest));
  auto parsed = events_.parse(std::move(text), from.at(place));
  if (!parsed) return refuse(std::move(parsed.error()));
  if (cloud_event && !is_cloud_event(parsed->content_type))
    return refuse("unknown: it is no CloudEvent (no 'specversion'), as the Content-Type says");
  auto e = in_mode(*std::move(parsed), settings_.webhooks.ce_mode, typed());
  if (!e) return refuse(std::move(e.error()));
  to.events.push_back(stored(*std::move(e)));
}

/// It stays in its mode, unless --ce-mode names another one.
again::expected<again::event, std::string> post_reader::binary(const headers& fields, std::string&& body,
                                                               const origin& from) {
  using refused = again::unexpected<std::string>;
  if (body.size() > settings_.longest) return refused{fmt::format("oversized: more than {} bytes", settings_.longest)};
  const auto made = event_of_fields(fields, std::move(body));
  if (!made) return refused{"malformed: " + made.error()};
  auto json = ce::to_json(*made);
  if (!json) return refused{"malformed: " + json.error().text()};
  auto parsed = events_.parse(*std::move(json), from.at(0));
  if (!parsed) return refused{std::move(parsed.error())};
  const auto mode = settings_.webhooks.ce_mode;
  if (mode && *mode != ce::content_mode::binary) return in_mode(*std::move(parsed), mode, typed());
  auto request = ce::binary_request(*made);
  if (!request) return refused{"malformed: " + request.error().text()};
  again::event e{std::move(parsed->id), made->data().value_or(""), request->headers()};
  e.key = std::move(parsed->key);
  e.order_key = std::move(parsed->order_key);
  return e;
}

again::event post_reader::stored(again::event&& e) const {
  e.id = stored_id(key_of({e.key}), e.id);
  if (settings_.order != again::ordering::per_key) e.order_key.clear();
  return std::move(e);
}

}  // namespace programs
