// SPDX-License-Identifier: MIT
/// \file
/// What `journal::store` promises, as tests that run over any store: over the one in memory and over SQLite.
#pragma once

#include <again/journal/detail/memory_model.hpp>
#include <again/journal/store.hpp>

#include <again/core/random.hpp>
#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/retry/retry.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace again_test {

using namespace again;
using namespace std::chrono_literals;
using journal::event_state;

inline std::vector<journal::new_event> numbered(int first, int last, std::string order_key = {}) {
  std::vector<journal::new_event> all;
  for (int i = first; i <= last; ++i) {
    event e{std::to_string(i), "body " + std::to_string(i)};
    e.order_key = order_key;
    all.emplace_back(std::move(e));
  }
  return all;
}

/// A store, and calls that wait for their results in pretend time.
template <class S> struct store_under_test {
  S& store;
  run_loop& loop;
  virtual_clock& time;

  wall_time now() const { return loop.wall_now(); }
  auto append(std::vector<journal::new_event> events) { return sync_wait(loop, store.append(std::move(events))); }
  /// The ids that were taken, in order.
  std::vector<std::string> take(std::size_t n, std::string worker = "w", duration span = 90s) {
    auto got = sync_wait(loop, store.take(n, journal::worker_lease{std::move(worker), span}));
    REQUIRE(got);
    std::vector<std::string> ids;
    for (journal::event_record& r : got->events) {
      ids.push_back(r.event.id);
      claims.push_back(r.claim());
      last = std::move(r);
    }
    next = got->next;
    return ids;
  }
  bool done(const journal::claim& c) { return ended(sync_wait(loop, store.done(c, journal::result{}))); }
  bool dead(const journal::claim& c) { return ended(sync_wait(loop, store.dead(c, journal::result{}))); }
  bool later(const journal::claim& c, duration d, journal::progress p = {}) {
    return ended(sync_wait(loop, store.later(c, now() + d, std::move(p))));
  }
  /// How many of the claims were lost.
  std::size_t extend(const std::vector<journal::claim>& some, duration span = 90s,
                     std::optional<journal::progress> p = {}) {
    std::vector<journal::extension> all;
    for (const journal::claim& c : some) all.emplace_back(c, p);
    const auto gone = sync_wait(loop, store.extend(std::move(all), span));
    REQUIRE(gone);
    return gone->size();
  }
  std::optional<journal::event_record> find(std::string id) {
    auto found = sync_wait(loop, store.find(std::move(id)));
    REQUIRE(found);
    return *std::move(found);
  }
  event_state state(std::string id) { return find(std::move(id)).value().state; }

  std::vector<journal::claim> claims{};  // all that were taken, in order
  journal::event_record last{};
  std::optional<wall_time> next{};

 private:
  static bool ended(const journal::stored_result<void>& r) {
    if (!r) CHECK(r.error().kind == journal::error_kind::lost_lease);
    return r.has_value();
  }
};

using ids = std::vector<std::string>;

template <class S> struct contract_case {
  const char* name;
  std::function<void(store_under_test<S>&)> run;
};

/// Random calls give what the model gives.
template <class S> void follows_the_model(store_under_test<S>& t, std::uint64_t seed, int steps) {
  journal::detail::memory_model model;
  random_stream random{seed};
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random.bits() % n); };
  std::vector<journal::claim> mine;
  int made = 0;
  for (int step = 0; step < steps; ++step) {
    const std::size_t what = below(10);
    const wall_time now = t.now();
    const bool any = !t.claims.empty();
    const std::size_t at = any ? below(t.claims.size()) : 0;
    if (what < 2) {
      const int repeated = static_cast<int>(below(3));
      auto events = numbered(made + 1 - repeated, made + 3, below(2) == 0 ? "key " + std::to_string(below(3)) : "");
      if (below(4) == 0) events.front().due = now + 30s + below(3) * 60s;
      made += 3;
      const auto expected_here = model.append(events, now);
      const auto got = t.append(events);
      REQUIRE(got == *expected_here);
    } else if (what < 5) {
      const auto wanted = model.take(1 + below(4), journal::worker_lease{"w", 90s}, now);
      REQUIRE(wanted);
      const ids got = t.take(wanted->events.size() + (wanted->events.empty() ? 1 : 0));
      REQUIRE(got.size() == wanted->events.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        REQUIRE(got[i] == wanted->events[i].event.id);
        mine.push_back(wanted->events[i].claim());
      }
    } else if (what == 5) {
      t.time.advance(60s * (1 + below(2)));
    } else if (any && what == 6) {
      const auto gone = model.extend({journal::extension{mine[at]}}, 90s, now);
      REQUIRE(t.extend({t.claims[at]}) == gone->size());
    } else if (any && what == 7) {
      const duration wait = 30s + below(3) * 60s;
      REQUIRE(t.later(t.claims[at], wait) == model.later(mine[at], now + wait, {}).has_value());
    } else if (any) {
      const auto as = what == 8 ? event_state::done : event_state::dead;
      const bool ended = what == 8 ? t.done(t.claims[at]) : t.dead(t.claims[at]);
      REQUIRE(ended == model.finish(mine[at], as, {}, now).has_value());
    }
  }
  for (const auto& [place, r] : model.records()) REQUIRE(t.state(r.event.id) == r.state);
}

template <class S> std::vector<contract_case<S>> store_contract() {
  using test = store_under_test<S>;
  return {
      {"what was appended is taken as it was, with its times and a key",
       [](test& t) {
         event e{"id \xff", std::string{"a\0b", 3}, {{"Content-Type", "text/plain"}, {"X", ""}}};
         e.order_key = "k";
         e.only = {"here", "there"};
         journal::new_event n{e, t.now() + 1h};
         const wall_time before = t.now();
         CHECK(t.append({n}) == journal::acknowledged{1, 0});
         CHECK(t.take(10) == ids{"id \xff"});
         CHECK(t.last.event.body == e.body);
         CHECK(t.last.event.headers == e.headers);
         CHECK(t.last.event.order_key == "k");
         CHECK(t.last.event.only == e.only);
         CHECK(t.last.event.key.size() == 36);
         CHECK(t.last.deadline == n.deadline);
         CHECK(t.last.created >= before);
         CHECK(t.last.created <= t.now());
         CHECK(t.last.due == t.last.created);
         CHECK(t.last.state == event_state::leased);
         CHECK(t.last.lease.worker == "w");
         CHECK(t.last.leased_until >= before + 90s);
         CHECK(t.last.result == journal::result{});
         CHECK(t.last.finished_at == journal::no_time);
         CHECK(t.find("id \xff")->event.key == t.last.event.key);
       }},
      {"a key that is given is kept, and one that is made is the same for ever",
       [](test& t) {
         event e{"1"};
         e.key = "mine";
         CHECK(t.append({journal::new_event{e}}) == journal::acknowledged{1, 0});
         CHECK(t.find("1")->event.key == "mine");
         CHECK(t.append(numbered(2, 2)) == journal::acknowledged{1, 0});
         const std::string made = t.find("2")->event.key;
         CHECK(t.append(numbered(2, 2)) == journal::acknowledged{0, 1});
         CHECK(t.take(10) == ids{"1", "2"});
         CHECK(t.last.event.key == made);
       }},
      {"an id that is known is acknowledged and not stored again, whatever has become of the event",
       [](test& t) {
         auto twice = numbered(1, 2);
         twice.push_back(twice.front());
         CHECK(t.append(twice) == journal::acknowledged{2, 1});
         event other{"1", "another body"};
         CHECK(t.append({journal::new_event{other}}) == journal::acknowledged{0, 1});
         CHECK(t.take(1) == ids{"1"});
         CHECK(t.append(numbered(1, 3)) == journal::acknowledged{1, 2});
         CHECK(t.last.event.body == "body 1");
         CHECK(t.done(t.claims[0]));
         CHECK(t.append(numbered(1, 3)) == journal::acknowledged{0, 3});
         CHECK(t.take(10) == ids{"2", "3"});
       }},
      {"of a batch with an event that has no id nothing is stored",
       [](test& t) {
         auto bad = numbered(1, 2);
         bad.emplace_back(event{});
         const auto got = t.append(bad);
         REQUIRE(!got);
         CHECK(got.error().kind == journal::error_kind::invalid);
         CHECK(got.error().text == "an event has no id; give each event one");
         CHECK(t.take(10).empty());
         CHECK(!t.find("1"));
         CHECK(t.append({}) == journal::acknowledged{0, 0});
       }},
      {"take gives what is due, the longest due first, and says when there will be more",
       [](test& t) {
         auto some = numbered(1, 4);
         some[0].due = t.now() + 10min;
         some[1].due = t.now() + 5min;
         CHECK(t.append(some) == journal::acknowledged{4, 0});
         CHECK(t.take(1) == ids{"3"});
         CHECK(t.next <= t.now());
         CHECK(t.done(t.claims[0]));
         CHECK(t.take(0).empty());
         CHECK(t.take(10) == ids{"4"});
         CHECK(t.next == t.last.leased_until);
         CHECK(t.done(t.claims[1]));
         CHECK(t.take(10).empty());
         CHECK(t.next == some[1].due);
         t.time.advance(11min);
         CHECK(t.take(10) == ids{"2", "1"});
         CHECK(t.done(t.claims[2]));
         CHECK(t.done(t.claims[3]));
         CHECK(t.take(10).empty());
         CHECK(!t.next);
       }},
      {"a leased event is given to nobody else until the lease ends; then the earlier one has lost it",
       [](test& t) {
         CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
         CHECK(t.take(10, "a") == ids{"1"});
         CHECK(t.take(10, "b").empty());
         t.time.advance(91s);
         CHECK(t.take(10, "b") == ids{"1"});
         CHECK(t.last.lease.worker == "b");
         const journal::claim old = t.claims[0], mine = t.claims[1];
         CHECK(old.token.number != mine.token.number);
         CHECK(!t.done(old));
         CHECK(!t.dead(old));
         CHECK(!t.later(old, 1h));
         CHECK(t.extend({old, mine}) == 1);
         CHECK(t.state("1") == event_state::leased);
         CHECK(t.done(mine));
         CHECK(!t.done(old));
         CHECK(t.state("1") == event_state::done);
       }},
      {"the same worker's earlier lease does not count either",
       [](test& t) {
         CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
         CHECK(t.take(10) == ids{"1"});
         t.time.advance(91s);
         CHECK(t.take(10) == ids{"1"});
         CHECK(!t.done(t.claims[0]));
         CHECK(t.done(t.claims[1]));
       }},
      {"a lease that has ended counts as long as nobody else has taken the event",
       [](test& t) {
         CHECK(t.append(numbered(1, 2)) == journal::acknowledged{2, 0});
         CHECK(t.take(10) == ids{"1", "2"});
         t.time.advance(1h);
         CHECK(t.done(t.claims[0]));
         CHECK(t.extend({t.claims[1]}) == 0);
         CHECK(t.take(10).empty());
       }},
      {"extend moves the end of a lease and records progress",
       [](test& t) {
         CHECK(t.append(numbered(1, 2)) == journal::acknowledged{2, 0});
         CHECK(t.take(10) == ids{"1", "2"});
         journal::progress p;
         p.attempts = 3;
         p.deliveries = 2;
         p.first_attempt = t.now();
         p.last_attempt = t.now() + 5s;
         p.last_error = "reset \x01";
         p.only = {"a"};
         p.refused = {"b", ""};
         t.time.advance(60s);
         CHECK(t.extend({t.claims[0]}, 90s, p) == 0);
         t.time.advance(60s);
         CHECK(t.take(10) == ids{"2"});
         CHECK(t.find("1")->result.progress == p);
         CHECK(t.extend({t.claims[0], journal::claim{"none", t.claims[0].token}}) == 1);
         CHECK(t.find("1")->result.progress == p);
         CHECK(t.find("2")->result.progress == journal::progress{});
       }},
      {"what is given back is due again at its time, with the progress, and may be given back once more",
       [](test& t) {
         CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
         CHECK(t.take(10) == ids{"1"});
         journal::progress p;
         p.attempts = 2;
         p.last_error = "503";
         CHECK(t.later(t.claims[0], 1h, p));
         CHECK(t.later(t.claims[0], 2h, p));
         CHECK(!t.done(t.claims[0]));
         CHECK(t.extend({t.claims[0]}) == 1);
         t.time.advance(90min);
         CHECK(t.take(10).empty());
         t.time.advance(31min);
         CHECK(t.take(10) == ids{"1"});
         CHECK(t.last.result.progress == p);
         CHECK(!t.later(t.claims[0], 1h));
       }},
      {"a finished event has one result: the same call again changes nothing, another one is refused",
       [](test& t) {
         CHECK(t.append(numbered(1, 2)) == journal::acknowledged{2, 0});
         CHECK(t.take(10) == ids{"1", "2"});
         journal::progress p;
         p.attempts = 4;
         const journal::result failed{p, 503, "permanent"};
         CHECK(sync_wait(t.loop, t.store.dead(t.claims[0], failed)));
         const wall_time finished = t.find("1")->finished_at;
         CHECK(t.dead(t.claims[0]));
         CHECK(!t.done(t.claims[0]));
         CHECK(!t.later(t.claims[0], 1s));
         const journal::event_record r = t.find("1").value();
         CHECK(r.state == event_state::dead);
         CHECK(r.result == failed);
         CHECK(r.finished_at == finished);
         CHECK(finished <= t.now());
         CHECK(t.done(t.claims[1]));
         CHECK(t.done(t.claims[1]));
         CHECK(!t.dead(t.claims[1]));
         t.time.advance(24h);
         CHECK(t.take(10).empty());
       }},
      {"order per key: no event while an earlier one of its key is unfinished; others go past it",
       [](test& t) {
         CHECK(t.append(numbered(1, 3, "k")) == journal::acknowledged{3, 0});
         CHECK(t.append(numbered(11, 12, "other")) == journal::acknowledged{2, 0});
         CHECK(t.append(numbered(21, 22)) == journal::acknowledged{2, 0});
         CHECK(t.take(10) == ids{"1", "11", "21", "22"});
         CHECK(t.take(10).empty());
         CHECK(t.later(t.claims[0], 1h));  // 1 waits, and 2 and 3 behind it
         CHECK(t.done(t.claims[1]));
         CHECK(t.take(10) == ids{"12"});
         CHECK(t.append(numbered(4, 4, "k")) == journal::acknowledged{1, 0});
         t.time.advance(80s);
         CHECK(t.extend(t.claims) == 2);
         CHECK(t.take(10).empty());
         t.time.advance(1h);
         CHECK(t.take(1, "b") ==
               ids{"12"});  // those whose leases have ended, in the order of their arrival; then what is due
         CHECK(t.take(10, "b") == ids{"21", "22", "1"});
         CHECK(t.state("1") == event_state::leased);
         CHECK(t.dead(t.claims.back()));
         CHECK(t.take(10) == ids{"2"});
         CHECK(t.done(t.claims.back()));
         CHECK(t.take(10) == ids{"3"});
         CHECK(t.done(t.claims.back()));
         CHECK(t.take(10) == ids{"4"});
         CHECK(t.done(t.claims.back()));
         CHECK(t.append(numbered(5, 5, "k")) == journal::acknowledged{1, 0});
         CHECK(t.take(10) == ids{"5"});
       }},
      {"what is not there is not found, and cannot be finished",
       [](test& t) {
         CHECK(!t.find("1"));
         CHECK(!t.find(""));
         const journal::claim none{"1", journal::lease_token{"w", 1}};
         CHECK(!t.done(none));
         CHECK(!t.dead(none));
         CHECK(!t.later(none, 1s));
         CHECK(t.extend({none}) == 1);
         CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
         CHECK(!t.done(journal::claim{"1", journal::lease_token{}}));
         CHECK(!t.later(journal::claim{"1", journal::lease_token{}}, 1s));
       }},
      {"a call that was stopped before it began says so and has done nothing",
       [](test& t) {
         inplace_stop_source stop;
         stop.request_stop();
         const auto got = sync_wait(t.loop, t.store.append(numbered(1, 1)), stop.get_token());
         REQUIRE(!got);
         CHECK(got.error().kind == journal::error_kind::cancelled);
         CHECK(!t.find("1"));
       }},
      {"a call that is never awaited does nothing, and a retry makes it anew",
       [](test& t) {
         { [[maybe_unused]] auto unused = t.store.append(numbered(1, 1)); }
         CHECK(!t.find("1"));
         const auto again_and_again = [&t]() -> task<journal::acknowledged> {
           const auto got = co_await retry(policy{}, [&t] { return t.store.append(numbered(1, 2)); });
           co_return got.value_or(journal::acknowledged{});
         };
         CHECK(sync_wait(t.loop, again_and_again()) == journal::acknowledged{2, 0});
       }},
      {"random calls do what they do in the model", [](test& t) { follows_the_model(t, 1, 400); }},
      {"other random calls do so, too", [](test& t) { follows_the_model(t, 2, 400); }},
  };
}

}  // namespace again_test
