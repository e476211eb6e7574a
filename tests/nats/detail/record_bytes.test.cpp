// SPDX-License-Identifier: MIT
#include <again/nats/detail/record_bytes.hpp>

#include <again/nats/detail/endpoint_messages.hpp>
#include <again/nats/detail/layout.hpp>
#include <again/nats/detail/lease_book.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

using namespace again;
using namespace std::chrono_literals;
using namespace again::nats::detail;

namespace {

journal::event_record some_event() {
  event e{"id \xff", std::string{"a\0b", 3}, {{"Content-Type", "text/plain"}, {"X", ""}}};
  e.order_key = "k";
  e.key = "key";
  e.only = {"here", ""};
  return journal::event_record{journal::new_event{e, wall_time{2h}}, wall_time{1h}};
}
endpoint_status some_endpoint() {
  endpoint_status s{"http://h/ \xff", endpoint_state::disabled, endpoint_reason::failing};
  s.last_error = std::string{"a\0b", 3};
  s.since = wall_time{1h};
  s.until = wall_time{2h};
  s.failing_since = wall_time{-3h};
  return s;
}
stored_state some_state() {
  stored_state s;
  s.state = journal::event_state::dead;
  s.place = 1ULL << 40U;
  s.lease = journal::lease_token{"w", ~0ULL};
  s.due = wall_time{3h};
  s.finished_at = wall_time{4h};
  s.result.status = 503;
  s.result.reason = "permanent";
  s.result.progress.attempts = 3;
  s.result.progress.deliveries = 2;
  s.result.progress.first_attempt = wall_time{5h};
  s.result.progress.last_error = "reset \x01";
  s.result.progress.only = {"a"};
  s.result.progress.refused = {"b", ""};
  s.id = "i";
  s.key = "k";
  s.order_key = "o";
  s.created = wall_time{6h};
  return s;
}

}  // namespace

TEST_CASE("an event is read as it was written") {
  const journal::event_record r = some_event();
  const auto back = event_from(bytes_of(r));
  REQUIRE(back);
  CHECK(back->event.id == r.event.id);
  CHECK(back->event.key == r.event.key);
  CHECK(back->event.order_key == r.event.order_key);
  CHECK(back->event.only == r.event.only);
  CHECK(back->event.headers == r.event.headers);
  CHECK(back->event.body == r.event.body);
  CHECK(back->created == r.created);
  CHECK(back->due == r.due);
  CHECK(back->deadline == r.deadline);
}

TEST_CASE("a state and a dead letter are read as they were written") {
  const stored_state s = some_state();
  const auto back = state_from(bytes_of(s));
  REQUIRE(back);
  CHECK(bytes_of(*back) == bytes_of(s));
  CHECK(back->result == s.result);
  CHECK(back->lease == s.lease);
  CHECK(back->state == s.state);
  CHECK(back->finished_at == s.finished_at);
  const auto l = letter_from(letter_of("event", "state"));
  REQUIRE(l);
  CHECK(l->event == "event");
  CHECK(l->state == "state");
}

TEST_CASE("a state of an endpoint is read as it was written, and one that nobody knows is refused") {
  CHECK(endpoint_from(bytes_of(some_endpoint())) == some_endpoint());
  CHECK(endpoint_from(bytes_of(endpoint_status{""})) == endpoint_status{""});
  for (const endpoint_status& bad : {endpoint_status{"", static_cast<endpoint_state>(5)},
                                     endpoint_status{"", endpoint_state::paused, static_cast<endpoint_reason>(6)}})
    CHECK(!endpoint_from(bytes_of(bad)));
}

TEST_CASE("bytes that are cut off, changed in their lengths, or of something else are refused") {
  const std::string event = bytes_of(some_event()), state = bytes_of(some_state()),
                    letter = letter_of("event", "state");
  for (std::size_t n = 0; n < event.size(); ++n) CHECK(!event_from(event.substr(0, n)));
  for (std::size_t n = 0; n < state.size(); ++n) CHECK(!state_from(state.substr(0, n)));
  for (std::size_t n = 0; n < letter.size(); ++n) CHECK(!letter_from(letter.substr(0, n)));
  const std::string end = bytes_of(some_endpoint());
  for (std::size_t n = 0; n < end.size(); ++n) CHECK(!endpoint_from(end.substr(0, n)));
  for (std::size_t n = 0; n < event.size();
       ++n) {  // whatever is read of it: nothing beyond its end, and in finite time
    std::string bad = event;
    bad[n] = '\xff';
    static_cast<void>(event_from(bad));
  }
  CHECK(!event_from(state));
  CHECK(!state_from(event));
  CHECK(!event_from(R"({"id":1})"));
}

TEST_CASE("any bytes are one word of a subject, and different ones are different words") {
  CHECK(word_of("") == "~");
  CHECK(word_of("a") == "YQ");
  CHECK(word_of("ab") == "YWI");
  CHECK(word_of("abc") == "YWJj");
  CHECK(word_of(std::string{"\0", 1}) == "AA");
  CHECK(word_of("\xff\xff\xff") == "____");
  CHECK(word_of(". *>") == "LiAqPg");
}

TEST_CASE("the numbers of a delivery are read from both forms of its subject") {
  const auto check = [](const char* subject) {
    const delivery_numbers n = numbers_in(subject);
    CHECK(n.times == 2);
    CHECK(n.place == 71);
    CHECK(n.number == 90);
  };
  check("$JS.ACK.ORDERS.workers.2.71.90.1796061029970901527.0");
  check("$JS.ACK.domain.account.ORDERS.workers.2.71.90.1796061029970901527.0");
  check("$JS.ACK.domain.account.ORDERS.workers.2.71.90.1796061029970901527.0.random");
  CHECK(numbers_in("$JS.ACK.ORDERS").number == 0);
}

TEST_CASE("members of a reply are read by their names") {
  constexpr const char* reply =
      R"({"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 2"},"seq": 17})";
  CHECK(error_in(reply).code == wrong_last_sequence);
  CHECK(error_in(reply).what == "wrong last sequence: 2");
  CHECK(number(reply, "seq") == 17);
  CHECK(!number(reply, "sequence"));
  CHECK(error_in(R"({"stream":"E", "seq":1})").code == 0);
}

TEST_CASE("a message inside of JSON is read from its base64") {
  CHECK(bytes_in_base64("").empty());
  CHECK(bytes_in_base64("YQ==") == "a");
  CHECK(bytes_in_base64("YWI=") == "ab");
  CHECK(bytes_in_base64("YWJj") == "abc");
  CHECK(bytes_in_base64("AP/+") == std::string{"\0\xff\xfe", 3});
}

TEST_CASE("the subjects of a stream are those of its messages, not those of its configuration") {
  CHECK(subjects_in(R"({"config":{"subjects":["A.endpoint.*"]},"state":{"messages":2,"num_subjects":2,)"
                    R"("subjects":{"A.endpoint.YQ":1,"A.endpoint.Yg":1},"consumer_count":0}})") ==
        std::vector<std::string>{"A.endpoint.YQ", "A.endpoint.Yg"});
  CHECK(subjects_in(R"({"config":{"subjects":["A.endpoint.*"]},"state":{"messages":0}})").empty());
  CHECK(subjects_in(R"({"state":{"subjects":{"A)").size() == 1);  // whatever is read of it: in finite time
}
