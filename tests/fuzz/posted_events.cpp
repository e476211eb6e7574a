// SPDX-License-Identifier: MIT
// For any body and any Content-Type, each event of a POST is stored or refused once, and what is stored are bytes of the body.
#include "posted_events.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

// What flags of `deliver` ask for that are not given here: the rest of the program is left out.
namespace programs {
transport_kind transport_named(std::string_view) { return {}; }
void require_journal(const std::string&) {}
void require_listener() {}
}  // namespace programs

namespace {

using namespace programs;

void need(bool holds) {
  if (!holds) std::abort();
}

constexpr const char* kinds[] = {"application/json",
                                 "application/x-ndjson",
                                 "application/cloudevents+json; charset=UTF-8",
                                 "application/cloudevents-batch+json",
                                 "text/plain",
                                 "application/json; charset=latin1"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const deliver_settings settings = [] {
    const std::vector<std::string> words{"http://127.0.0.1:9/"};
    deliver_settings s{words};
    s.find_endpoints(words);
    return s;
  }();
  static post_reader reader{settings};
  if (size == 0) return 0;
  const std::string body{reinterpret_cast<const char*>(data) + 1, size - 1};
  again::http::headers fields;
  fields.add("Content-Type", kinds[data[0] % std::size(kinds)]);
  fields.add("Idempotency-Key", "one");  // so that equal events have equal ids in each run
  const bool binary = data[0] >= 128;
  if (binary) {
    fields.add("ce-specversion", "1.0");
    fields.add("ce-source", "/s");
    fields.add("ce-type", "t");
    std::string id = body.substr(0, body.find('\n'));
    for (char& c : id) c = c > ' ' && c < 127 ? c : '%';
    fields.add("ce-id", id);
  }
  const auto known = post_reader::check(fields);
  const auto got = reader.read(fields, std::string{body});
  if (!got) {
    need(got.error().status >= 400 && got.error().status < 500 && !got.error().why.empty());
    return 0;
  }
  need(known.has_value());
  need(!got->events.empty() || !got->refused.empty() || body.find('[') != std::string::npos);
  const std::size_t all = got->events.size() + got->refused.size();
  std::size_t next = 0;
  for (const posted_events::refusal& r : got->refused) {
    need(r.place >= next && r.place < all && !r.why.empty());
    next = r.place + 1;
  }
  for (const again::event& e : got->events) {
    need(!e.id.empty() && !e.key.empty());
    need(body.find(e.body) != std::string::npos);
  }
  return 0;
}
