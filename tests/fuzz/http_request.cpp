// SPDX-License-Identifier: MIT
// Any method, target, header, key: refused with a reason, or nothing in it can end a line or frame the message.
#include <again/http/message.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace again::http;
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  const auto next = [&] { return std::string{detail::take_until(rest, '\n')}; };
  request r{method{next()}, next()};
  if (auto key = next(); !key.empty()) r.idempotency_key(std::move(key));
  if (auto name = next(); !name.empty()) r.attempt_header(std::move(name));
  while (!rest.empty()) {
    std::string name = next();
    r.header(std::move(name), next());
  }
  if (const auto bad = validate(r)) {
    for (const char c : bad->text())
      if (detail::is_control(c)) std::abort();
    return 0;
  }
  std::string wire = std::string{r.method().text()} + " " + r.target() + "\n";
  const headers fields = r.fields(2);
  for (const auto& [name, value] : fields) {
    if (name.find_first_of(" :\t") != std::string::npos) std::abort();
    wire += name + ": " + value + "\n";
  }
  std::size_t lines = 0;
  for (const char c : wire) {
    if (c == '\r' || c == '\0') std::abort();
    lines += c == '\n' ? 1U : 0U;
  }
  if (lines != fields.size() + 1 || fields.contains("Content-Length") || fields.contains("host")) std::abort();
  if (fields.count("Idempotency-Key") > 1) std::abort();
  return 0;
}
