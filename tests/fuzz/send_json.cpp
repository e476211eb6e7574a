// SPDX-License-Identifier: MIT
// For any response and any result, `send` prints one line of valid JSON with the same values.
#include "outcome.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace programs;
using nlohmann::json;

class bytes {
 public:
  explicit bytes(std::string_view all) : unread_{all} {}
  std::uint64_t number(std::size_t width) {
    std::uint64_t n = 0;
    for (; width > 0 && !unread_.empty(); --width, unread_.remove_prefix(1))
      n = n << 8U | static_cast<unsigned char>(unread_.front());
    return n;
  }
  template <class T, std::size_t N> T one_of(const std::array<T, N>& values) { return values[number(1) % N]; }
  std::string_view unread() const { return unread_; }

 private:
  std::string_view unread_;
};

void need(bool holds) {
  if (!holds) std::abort();
}

/// Only bytes that are not UTF-8 may be replaced by U+FFFD.
void compare(const std::string& given, const std::string& printed) {
  bool plain = true;
  for (const char c : given) plain = plain && static_cast<unsigned char>(c) < 0x80;
  need(plain ? printed == given : printed.size() >= given.size() || printed.find("\xEF\xBF\xBD") != std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bytes in{{reinterpret_cast<const char*>(data), size}};
  outcome o;
  o.ok = in.number(1) % 2 == 0;
  o.status = static_cast<int>(in.number(2));
  o.attempts = static_cast<int>(in.number(4));
  o.redirects = static_cast<int>(in.number(1));
  o.elapsed = again::duration{static_cast<again::duration::rep>(in.number(8))};
  if (in.number(1) % 2 == 0) o.error = name(in.one_of(again::http::all_error_kinds));
  if (!o.ok) o.reason = static_cast<again::stop_reason>(in.number(1) % 13);
  const std::size_t records = in.number(1) % 12;
  for (std::size_t i = 0; i < records; ++i) {
    again::attempt_record r;
    r.attempt = static_cast<int>(in.number(2));
    r.ok = in.number(1) % 2 == 0;
    r.reach = static_cast<again::reach>(in.number(1) % 3);
    r.by = static_cast<again::wait_by>(in.number(1) % 3);
    r.code = static_cast<int>(in.number(2));
    r.name = name(in.one_of(again::http::all_error_kinds));
    r.wait = again::duration{static_cast<again::duration::rep>(in.number(8))};
    o.trace.push_back({r});
  }
  const std::string body{in.unread()};
  for (std::size_t i = 0; i < records; ++i) o.trace[i].detail = body.substr(0, i);
  o.detail = body;
  if (o.status % 3 != 0) o.body = body;

  const std::string line = report_of(o);
  need(line == printable(line));
  const json read = json::parse(line);  // throws, and so ends the run, where it is no JSON or no UTF-8
  need(read.at("ok") == o.ok);
  need(o.status == 0 ? read.at("status").is_null() : read.at("status") == o.status);
  need(o.error.empty() ? read.at("error").is_null() : read.at("error") == std::string{o.error});
  need(o.ok ? read.at("reason").is_null() : !read.at("reason").get<std::string>().empty());
  need(read.at("attempts") == o.attempts && read.at("elapsed_ms").is_number() && read.at("trace").size() == records);
  need(read.contains("redirects") == (o.redirects > 0));
  need(read.at("body").is_null() == !o.body.has_value());
  if (o.body) compare(*o.body, read.at("body").get<std::string>());
  return 0;
}
