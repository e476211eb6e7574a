// SPDX-License-Identifier: MIT
// Any attributes and any data: refused, or JSON from which a parser reads the same event. What is JSON, another library decides too.
#include <again/cloudevents/http_binding.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

void need(bool holds) {
  if (!holds) std::abort();
}

/// Where both must agree. The other library ends a text at NUL, skips a byte order mark, refuses numbers beyond a double, and has no
/// bound on nesting.
bool comparable(std::string_view text) {
  std::size_t brackets = 0, digits = 0;
  for (const char c : text) {
    brackets += c == '[' || c == '{' ? 1U : 0U;
    digits = again::http::detail::is_digit(c) ? digits + 1 : 0;
    if (digits > 2) return false;
  }
  return brackets < 900 && text.find('\0') == std::string_view::npos && !text.starts_with('\xef');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace again::cloudevents;
  using nlohmann::json;
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  const auto next = [&] { return std::string{again::http::detail::take_until(rest, '\n')}; };
  const std::string id = next(), source = next(), type = next(), name = next(), value = next(), media_type = next();
  const std::string bytes{rest};
  if (comparable(bytes)) need(detail::is_json(bytes) == json::accept(bytes));

  event e{id, source, type};
  e.extension(name, value);
  e.data(bytes, media_type);
  const auto text = to_json(e);
  const auto binary = binary_request(e);
  if (!text) {
    for (const char c : text.error().text()) need(!again::http::detail::is_control(c));
    return 0;
  }
  if (detail::declares_json(media_type) && !comparable(bytes)) return 0;
  const json read = json::parse(*text);  // throws, and so ends the run, where it is no JSON
  for (const attribute& a : e.attributes()) need(read.at(a.name) == a.value);
  need(read.contains("data") != read.contains("data_base64"));
  need(read.size() == e.attributes().size() + 1);
  if (detail::declares_json(media_type)) need(read.at("data") == json::parse(bytes));

  need(binary && !validate(*binary) && *binary->body().bytes() == bytes);
  for (const auto& [field, encoded] : binary->headers())
    if (field.starts_with("ce-")) need(encoded.find_first_of(" \"\r\n") == std::string::npos);
  return 0;
}
