// SPDX-License-Identifier: MIT
#include <again/nats/store.hpp>

#include "nats/store_on_server.hpp"

#include <again/coro/scope.hpp>
#include <again/coro/this_context.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace again;
using namespace again_test;
using journal::error_kind;

namespace {

/// The promises that need no pretend time: the leases and waits of the others are the server's. Their siblings in real time stand below.
constexpr std::array<std::string_view, 8> in_real_time{
    "what was appended is taken as it was, with its times and a key",
    "a key that is given is kept, and one that is made is the same for ever",
    "an id that is known is acknowledged and not stored again, whatever has become of the event",
    "of a batch with an event that has no id nothing is stored",
    "a finished event has one result: the same call again changes nothing, another one is refused",
    "what is not there is not found, and cannot be finished",
    "a call that was stopped before it began says so and has done nothing",
    "a call that is never awaited does nothing, and a retry makes it anew",
};

/// Two stores on one stream, as two programs are.
struct two_stores {
  explicit two_stores(duration lease = 90s) : first{lease}, second{first.settings} {}
  nats::store& store() { return first.store(); }

  struct on_stream : store_on_server {
    explicit on_stream(duration lease) { settings.lease = lease; }
    explicit on_stream(const nats::options& same) { settings = same; }
  };
  on_stream first, second;
  store_under_test<nats::store> a = on(first), b = on(second);

 private:
  static store_under_test<nats::store> on(store_on_server& f) { return f.test(); }
};

}  // namespace

TEST_CASE("the store over JetStream keeps the promises of a store") {
  std::size_t run = 0;
  for (const auto& promise : store_contract<nats::store>()) {
    if (std::find(in_real_time.begin(), in_real_time.end(), promise.name) == in_real_time.end()) continue;
    ++run;
    SUBCASE(promise.name) {
      store_on_server f;
      auto t = f.test();
      promise.run(t);
    }
  }
  CHECK(run == in_real_time.size());
}

TEST_CASE("two workers share the events, and none has one that the other has") {
  two_stores w;
  CHECK(w.a.append(numbered(1, 20)) == journal::acknowledged{20, 0});
  const ids first = take_some(w.a, 7), second = take_some(w.b, 13);
  std::set<std::string> all{first.begin(), first.end()};
  all.insert(second.begin(), second.end());
  CHECK(all.size() == 20);
  CHECK(w.a.take(10).empty());
  CHECK(w.b.append(numbered(1, 20)) == journal::acknowledged{0, 20});
  for (const auto& c : w.a.claims) CHECK(w.a.done(c));
  for (const auto& c : w.b.claims) CHECK(w.b.done(c));
  CHECK(w.b.append(numbered(1, 20)) == journal::acknowledged{0, 20});
  w.a.take(0);
  CHECK(w.store().unfinished() == 0);
}

TEST_CASE("a lease that has ended goes to another worker, and the earlier one has lost it") {
  two_stores w{200ms};
  CHECK(w.a.append(numbered(1, 1)) == journal::acknowledged{1, 0});
  CHECK(take_some(w.a, 1) == ids{"1"});
  CHECK(take_some(w.b, 1, "b") == ids{"1"});  // as soon as the lease has ended
  const journal::claim old = w.a.claims[0], mine = w.b.claims[0];
  CHECK(w.b.last.lease.worker == "b");
  CHECK(!w.a.done(old));
  CHECK(!w.a.dead(old));
  CHECK(!w.a.later(old, 1h));
  CHECK(w.a.extend({old}) == 1);
  CHECK(w.b.extend({mine}) == 0);
  CHECK(w.b.done(mine));
  CHECK(w.b.done(mine));
  CHECK(!w.b.dead(mine));
  CHECK(!w.a.done(old));
  CHECK(w.a.find("1")->lease.worker == "b");
  CHECK(w.a.state("1") == event_state::done);
}

TEST_CASE("extend notices that another worker has the event") {
  two_stores w{200ms};
  CHECK(w.a.append(numbered(1, 1)) == journal::acknowledged{1, 0});
  CHECK(take_some(w.a, 1) == ids{"1"});
  CHECK(take_some(w.b, 1, "b") == ids{"1"});
  CHECK(w.a.extend(w.a.claims) == 1);
  CHECK(w.b.extend(w.b.claims) == 0);
}

TEST_CASE("what is extended stays with its worker beyond the first lease, and its progress is stored") {
  two_stores w{1s};
  CHECK(w.a.append(numbered(1, 2)) == journal::acknowledged{2, 0});
  CHECK(take_some(w.a, 2) == ids{"1", "2"});
  journal::progress p;
  p.attempts = 3;
  p.last_error = "reset";
  ids got;
  while (got.empty()) {  // the lease of 2 ends; that of 1 does not
    CHECK(w.a.extend({w.a.claims[0]}, 1s, p) == 0);
    got = w.b.take(2, "b");
  }
  CHECK(got == ids{"2"});
  CHECK(w.b.find("1")->result.progress == p);
  CHECK(w.a.done(w.a.claims[0]));
}

TEST_CASE("what is given back comes again at its time with its progress, whoever takes it") {
  two_stores w;
  CHECK(w.a.append(numbered(1, 2)) == journal::acknowledged{2, 0});
  CHECK(take_some(w.a, 2) == ids{"1", "2"});
  journal::progress p;
  p.attempts = 2;
  p.last_error = "503";
  p.only = {"a"};
  CHECK(w.a.later(w.a.claims[0], 300ms, p));
  CHECK(w.a.later(w.a.claims[1], 0s, p));
  CHECK(!w.a.done(w.a.claims[0]));
  CHECK(w.a.extend({w.a.claims[0]}) == 1);
  CHECK(take_some(w.b, 1, "b") == ids{"2"});
  CHECK(w.b.last.result.progress == p);
  CHECK(w.b.take(10).empty());
  w.second.time.advance(300ms);
  CHECK(take_some(w.b, 1, "b") == ids{"1"});
  CHECK(w.b.last.result.progress == p);
  CHECK(!w.a.later(w.a.claims[0], 1h));
}

TEST_CASE("an event that is due later is not given before, also where the servers deliver it early") {
  two_stores w;
  auto some = numbered(1, 2);
  some[0].due = w.a.now() + 1h;
  CHECK(w.a.append(some) == journal::acknowledged{2, 0});
  CHECK(take_some(w.a, 1) == ids{"2"});
  CHECK(w.a.take(5).empty());
  CHECK(w.a.next == some[0].due);
  CHECK(w.a.state("1") == event_state::waiting);
}

TEST_CASE("everything survives the end of the program and of the server") {
  nats_server server;
  store_on_server f{server};
  f.settings.lease = 1s;  // a server that was killed lets what was given back wait as long as a lease
  auto t = f.test();
  auto some = numbered(1, 4, "k");
  some[1].event.order_key = some[2].event.order_key = some[3].event.order_key = "";
  CHECK(t.append(some) == journal::acknowledged{4, 0});
  CHECK(take_some(t, 4).size() == 4);
  std::map<std::string, journal::claim> by_id;
  for (const auto& c : t.claims) by_id[c.id] = c;
  journal::progress p;
  p.attempts = 5;
  CHECK(t.done(by_id["2"]));
  CHECK(sync_wait(f.loop, t.store.dead(by_id["3"], journal::result{p, 422, "permanent"})));
  CHECK(t.later(by_id["4"], 0s, p));
  const std::string key = t.find("4")->event.key;
  f.close();
  server.kill();
  server.start();
  f.open();
  auto after = f.test();
  CHECK(after.state("2") == event_state::done);
  const auto dead = after.find("3").value();
  CHECK(dead.state == event_state::dead);
  CHECK(dead.result == journal::result{p, 422, "permanent"});
  CHECK(dead.event.body == "body 3");
  std::map<std::string, journal::event_record> left;
  while (left.size() < 2)
    if (!after.take(1).empty()) left[after.last.event.id] = after.last;
  CHECK(left.contains("1"));
  CHECK(left.at("4").event.key == key);
  CHECK(left.at("4").result.progress == p);
  // A server that has started knows the ids of the unfinished ones; the others are taken in, and found to be finished.
  CHECK(after.append(numbered(1, 4)) == journal::acknowledged{2, 2});
  do {
    for (const std::string& id : after.take(10)) CHECK((id == "1" || id == "4"));
    after.take(0);
  } while (f.store().unfinished() > 2);
}

TEST_CASE("a recorded end is not delivered again, though the acknowledgement was lost") {
  two_stores w{200ms};
  CHECK(w.a.append(numbered(1, 2)) == journal::acknowledged{2, 0});
  CHECK(take_some(w.a, 2).size() == 2);
  // What a program that is killed after the record and before the acknowledgement leaves.
  {
    nats::detail::connection c{w.first.settings};
    c.connect();
    const nats::detail::layout names{w.first.settings};
    for (int i = 0; i < 2; ++i) {
      nats::detail::stored_state s;
      s.state = i == 0 ? event_state::done : event_state::dead;
      s.id = w.a.claims[static_cast<std::size_t>(i)].id;
      s.lease = w.a.claims[static_cast<std::size_t>(i)].token;
      CHECK(nats::detail::written(c.exchange(nats::detail::write(names, s, 0)), "results"));
    }
  }
  CHECK(w.b.append(numbered(3, 3)) == journal::acknowledged{1, 0});
  ids seen;
  do {  // until the leases have ended and the events were acknowledged
    for (std::string& id : w.b.take(10)) seen.push_back(std::move(id));
    w.b.take(0);
  } while (w.second.store().unfinished() > 1);
  CHECK(std::set<std::string>{seen.begin(), seen.end()} == std::set<std::string>{"3"});
  CHECK(w.b.find("2")->event.body == "body 2");  // its dead letter was written after all
}

TEST_CASE("order per key: no event while an earlier one of its key is unfinished, whoever has it; others go past it") {
  two_stores w;
  CHECK(w.a.append(numbered(1, 3, "k")) == journal::acknowledged{3, 0});
  CHECK(w.a.append(numbered(11, 12, "other")) == journal::acknowledged{2, 0});
  CHECK(w.a.append(numbered(21, 22)) == journal::acknowledged{2, 0});
  ids got = take_some(w.a, 4);
  std::sort(got.begin(), got.end());
  CHECK(got == ids{"1", "11", "21", "22"});
  std::map<std::string, journal::claim> by_id;
  for (const auto& c : w.a.claims) by_id[c.id] = c;
  CHECK(w.a.take(10).empty());
  CHECK(w.b.take(10).empty());
  CHECK(w.b.append(numbered(4, 4, "k")) == journal::acknowledged{1, 0});
  CHECK(w.b.take(10).empty());  // 4 came to b, where it waits for 1, 2 and 3
  CHECK(w.a.done(by_id["11"]));
  CHECK(take_some(w.a, 1) == ids{"12"});
  CHECK(w.a.later(by_id["1"], 0s));  // it is again the first of its key
  CHECK(take_some(w.b, 1, "b") == ids{"1"});
  CHECK(w.a.take(10).empty());
  CHECK(w.b.dead(w.b.claims.back()));
  for (const char* const next : {"2", "3"}) {
    CHECK(take_some(w.a, 1) == ids{next});
    CHECK(w.b.take(10).empty());
    CHECK(w.a.done(w.a.claims.back()));
  }
  CHECK(take_some(w.b, 1) == ids{"4"});
  CHECK(w.b.done(w.b.claims.back()));
}

TEST_CASE("an event that has its end and is still in the stream does not hold up its key") {
  two_stores w;
  CHECK(w.a.append(numbered(1, 2, "k")) == journal::acknowledged{2, 0});
  CHECK(take_some(w.a, 1) == ids{"1"});
  {
    nats::detail::connection c{w.first.settings};
    c.connect();
    nats::detail::stored_state s;
    s.state = event_state::done;
    s.id = "1";
    s.place = 1;
    s.lease = w.a.claims[0].token;
    CHECK(nats::detail::written(c.exchange(nats::detail::write(nats::detail::layout{w.first.settings}, s, 0)), ""));
  }
  w.first.close();  // 2 waited there
  CHECK(take_some(w.b, 1) == ids{"2"});
  CHECK(w.b.state("1") == event_state::done);
}

TEST_CASE("of a key with many events all are delivered in their order") {
  two_stores w;
  CHECK(w.a.append(numbered(1, 150, "k")) == journal::acknowledged{150, 0});
  for (int i = 1; i <= 150;
       ++i) {  // also those that went back to the server, since a worker holds no more than 64 of a key
    if (i == 100) w.first.close();  // what it held back goes to the other one
    auto& t = i < 100 ? w.a : w.b;
    CHECK(take_some(t, 1) == ids{std::to_string(i)});
    CHECK(t.done(t.claims.back()));
  }
}

TEST_CASE("a stream that is full refuses what is appended, and takes it when there is room") {
  store_on_server f;
  f.settings.max_events = 3;
  auto t = f.test();
  CHECK(t.append(numbered(1, 3)) == journal::acknowledged{3, 0});
  const auto got = t.append(numbered(4, 4));
  REQUIRE(!got);
  CHECK(got.error().kind == error_kind::full);
  CHECK(got.error().text ==
        "stream " + f.settings.stream + " has max_msgs unfinished events; deliver or discard some, or raise it");
  CHECK(take_some(t, 1) == ids{"1"});
  CHECK(t.done(t.claims[0]));
  t.take(0);
  CHECK(t.append(numbered(4, 4)) == journal::acknowledged{1, 0});
}

TEST_CASE("an event that the servers or a subject cannot take is refused, and the others of other calls are not") {
  store_on_server f;
  auto t = f.test();
  std::vector<journal::new_event> large;
  large.emplace_back(event{"large", std::string(std::size_t{1} << 20U, 'x')});
  const auto too_large = t.append(large);
  REQUIRE(!too_large);
  CHECK(too_large.error().kind == error_kind::invalid);
  CHECK(too_large.error().text.find("max_payload of the servers (1048576)") != std::string::npos);
  std::vector<journal::new_event> named;
  named.emplace_back(event{std::string(2049, 'x'), ""});
  const auto too_long = t.append(named);
  REQUIRE(!too_long);
  CHECK(too_long.error().kind == error_kind::invalid);
  CHECK(!t.find(std::string(2049, 'x')));
  CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
}

TEST_CASE("a message that another program has written becomes a dead letter and holds up nothing") {
  store_on_server f;
  auto t = f.test();
  {
    nats::detail::connection c{f.settings};
    c.connect();
    c.exchange(nats::detail::request{f.settings.stream + ".event.~.x", "{\"id\":1}"});
  }
  CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
  CHECK(take_some(t, 1) == ids{"1"});
  CHECK(t.done(t.claims[0]));
  t.take(0);
  CHECK(f.store().unfinished() == 0);
}

TEST_CASE("events that were taken by a call that is gone are free at once") {
  two_stores w;
  CHECK(w.a.append(numbered(1, 5)) == journal::acknowledged{5, 0});
  const auto leave_at_once = [&w]() -> task<> {
    scope calls{co_await get_context()};
    const auto take = [](nats::store& s) -> task<> {
      static_cast<void>(co_await s.take(10, journal::worker_lease{"gone", 90s}));
    };
    calls.spawn(take(w.store()));
  };  // the scope is destroyed with its call under way
  sync_wait(w.first.loop, leave_at_once());
  CHECK(take_some(w.b, 5).size() == 5);
}

TEST_CASE("calls may be destroyed at any time, also after the store's end") {
  store_on_server f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 200)) == journal::acknowledged{200, 0});
  const auto many = [&f]() -> task<> {
    scope calls{co_await get_context()};
    const auto one = [](nats::store& s, int i) -> task<> {
      switch (i % 4) {
        case 0: static_cast<void>(co_await s.append(numbered(1000 + i, 1000 + i))); break;
        case 1: static_cast<void>(co_await s.take(2, journal::worker_lease{"w", 90s})); break;
        case 2: static_cast<void>(co_await s.find(std::to_string(i))); break;
        default: static_cast<void>(co_await s.extend({}, 90s)); break;
      }
    };
    for (int i = 0; i < 200; ++i) calls.spawn(one(f.store(), i));
    f.close();
  };
  sync_wait(f.loop, many());
}

TEST_CASE("a server that is killed and comes back: calls fail with a sentence, and the next ones go on") {
  nats_server server;
  store_on_server f{server};
  f.settings.timeout = 1s;
  auto t = f.test();
  CHECK(t.append(numbered(1, 3)) == journal::acknowledged{3, 0});
  CHECK(take_some(t, 3).size() == 3);
  const journal::claim first = t.claims[0], second = t.claims[1], third = t.claims[2];
  const auto anything = [&](int which) -> std::optional<journal::error> {
    const auto why = [](const auto& r) { return r ? std::optional<journal::error>{} : std::optional{r.error()}; };
    switch (which) {
      case 0: return why(t.append(numbered(4, 4)));
      case 1: return why(sync_wait(f.loop, t.store.take(1, journal::worker_lease{"w", 90s})));
      case 2: return why(sync_wait(f.loop, t.store.extend({journal::extension{third}}, 90s)));
      case 3: return why(sync_wait(f.loop, t.store.done(first, journal::result{})));
      case 4: return why(sync_wait(f.loop, t.store.later(second, t.now(), {})));
      default: return why(sync_wait(f.loop, t.store.find("1")));
    }
  };
  for (int which = 0; which < 6; ++which) {
    CAPTURE(which);
    server.kill();
    const auto why = anything(which);
    REQUIRE(why);
    CHECK(why->kind == error_kind::unreachable);
    CHECK((why->text.find("; ") != std::string::npos));
    server.start();
    while (anything(which)) {}  // until the wait before the next connection is over
  }
  CHECK(t.state("1") == event_state::done);
  CHECK(t.find("4"));
  CHECK(t.extend({third}) == 0);
}

TEST_CASE("a server that hangs: a call ends when its time is over, and is made again") {
  nats_server server;
  store_on_server f{server};
  f.settings.timeout = 300ms;
  auto t = f.test();
  CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
  server.pause();
  const auto got = t.append(numbered(2, 2));
  const auto none = sync_wait(f.loop, t.store.take(1, journal::worker_lease{"w", 90s}));
  server.resume();
  REQUIRE(!got);
  CHECK(got.error().kind == error_kind::unreachable);
  REQUIRE(!none);
  CHECK(none.error().kind == error_kind::unreachable);
  while (!t.append(numbered(2, 2))) {}
  ids all = take_some(t, 2);
  std::sort(all.begin(), all.end());
  CHECK(all == ids{"1", "2"});
}

TEST_CASE("a stream that is removed while it is in use: every call says so, and nothing is acknowledged") {
  store_on_server f;
  f.settings.timeout = 300ms;
  auto t = f.test();
  CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
  {
    nats::detail::connection c{f.settings};
    c.connect();
    c.exchange(nats::detail::request{"$JS.API.STREAM.DELETE." + f.settings.stream});
  }
  const auto got = t.append(numbered(2, 2));
  REQUIRE(!got);
  CHECK(got.error().kind == error_kind::unreachable);
  CHECK(got.error().text.find("it is missing") != std::string::npos);
  const auto none = sync_wait(f.loop, t.store.take(1, journal::worker_lease{"w", 90s}));
  REQUIRE(!none);
  CHECK(none.error().kind == error_kind::unreachable);
}

TEST_CASE(
    "replies that nobody takes messages end the connection, so that none is taken for the reply to a later request") {
  store_on_server f;
  auto t = f.test();
  nats::detail::connection c{f.settings};
  c.connect();
  const std::vector<nats::detail::request> unheard(20, nats::detail::request{"nobody.listens"});
  for (int times = 0; times < 3; ++times) {
    CHECK_THROWS_AS(static_cast<void>(c.exchange(unheard)), nats::detail::nats_failure);
    CHECK(!c.open());
    c.connect();
    const auto info = c.exchange(nats::detail::request{"$JS.API.STREAM.INFO." + f.settings.stream});
    CHECK(nats::detail::text_of(info).find("\"state\"") != std::string_view::npos);
  }
}
