// SPDX-License-Identifier: MIT
/// \file
/// `journal_streams`: what the members of the store do, in exchanges with the servers. The store's thread alone.
///
/// An event that is taken for the first time costs one read of its state. A write of a state names the number of the last message of its
/// subject that the writer knows, and is refused where another one is there: so of two workers that believe to have an event one alone
/// records its end, and it does that before it acknowledges the event. A worker that gets an event which somebody had before writes a lease
/// first; whoever had it can record nothing from then on.
#pragma once

#include <again/nats/detail/append.hpp>
#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/ended_event.hpp>
#include <again/nats/detail/endpoint_messages.hpp>
#include <again/nats/detail/find_event.hpp>
#include <again/nats/detail/held_back.hpp>
#include <again/nats/detail/layout.hpp>
#include <again/nats/detail/lease_book.hpp>
#include <again/nats/detail/record_bytes.hpp>
#include <again/nats/detail/state_message.hpp>
#include <again/nats/detail/store_call.hpp>
#include <again/nats/options.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

class journal_streams {
 public:
  /// Throws nats_failure.
  explicit journal_streams(const options& o) : options_{o}, names_{o}, connection_{o} {
    connection_.connect();
    ack_wait_ = names_.prepare(connection_, options_, true);
  }
  ~journal_streams() {
    if (!connection_.open()) return;
    try {
      held_.remove_if([this](delivered_event& e) { return send_back(e, duration::zero()); });
      connection_.flush();
    } catch (const nats_failure&) {}  // their leases end by themselves
  }

  /// There is a connection afterwards. Throws nats_failure.
  void ready() {
    if (connection_.open()) return;
    connection_.connect();
    ack_wait_ = names_.prepare(connection_, options_, false);
  }
  std::uint64_t unfinished() const noexcept { return unfinished_.load(std::memory_order_relaxed); }

  void append(const std::vector<append_call*>& calls) { append_all(connection_, names_, calls); }
  void end(const std::vector<end_call*>& calls);
  void take(take_call& call);
  void extend(extend_call& call);
  void find(find_call& call);
  void endpoints(endpoints_call& call) { call.result.emplace(read_endpoints(connection_, names_)); }
  void put(put_call& call) { call.result.emplace(put_endpoint(connection_, names_, call.record)); }
  void give_back(const std::vector<journal::event_record>& events);

 private:
  // True.
  bool send_back(delivered_event& e, duration wait) {
    const auto delay = std::chrono::nanoseconds{std::max(wait, duration::zero())}.count();
    connection_.send(e.ack(), delay == 0 ? "-NAK" : R"(-NAK {"delay": )" + std::to_string(delay) + "}");
    return true;
  }
  void acknowledge(delivered_event& e) {
    last_ack_ = e.ack();
    connection_.send(last_ack_, "+ACK");
  }
  void remember_due(wall_time t) {
    dues_.insert(t);
    if (dues_.size() > 1024) dues_.erase(std::prev(dues_.end()));
  }

  std::vector<delivered_event> due_ones(std::vector<message> delivered, wall_time now);
  void give_fronts(std::size_t most, std::vector<delivered_event>& out);
  void lease(take_call& call, std::vector<delivered_event> some, journal::taken& out);

  const options& options_;
  const layout names_;
  connection connection_;
  duration ack_wait_{};
  lease_book book_;
  held_back held_;
  bool look_again_ = false;  // an event with an order key has ended here since the fronts of the keys were looked at
  time_point looked_{}, renewed_{};
  std::set<wall_time> dues_;  // of what this process has sent back, the next ones
  std::string last_ack_;
  std::atomic<std::uint64_t> unfinished_{0};
};

// ── definitions ──

inline void journal_streams::end(const std::vector<end_call*>& calls) {
  using journal::event_state;
  struct ending {
    end_call* call;
    delivered_event* event;  // null: not ours any more
    stored_state state{};
    bool counts = false;
  };
  std::vector<ending> all;
  std::vector<request> writes;
  for (end_call* c : calls) {
    ending e{c, book_.find(c->claim)};
    if (e.event != nullptr) {
      e.event->record.result = c->how;
      e.state = e.event->state(c->as, c->as == event_state::waiting ? c->due : e.event->record.due);
      if (c->as != event_state::waiting) e.state.finished_at = c->now;
      writes.push_back(write(names_, e.state, e.event->state_at));
    }
    all.push_back(std::move(e));
  }
  const std::vector<message> replies = connection_.exchange(writes);
  auto reply = replies.begin();
  std::vector<request> reads, letters;
  std::vector<ending*> unclear;
  for (ending& e : all) {
    if (e.event != nullptr) e.counts = written(*reply++, names_.results()).has_value();
    if (e.counts) continue;
    unclear.push_back(&e);
    reads.push_back(names_.last_of(names_.results(), names_.result(e.call->claim.id)));
  }
  const std::vector<message> states = connection_.exchange(reads);
  for (std::size_t i = 0; i < unclear.size(); ++i) {
    ending& e = *unclear[i];
    const known_state known = state_in(names_, states[i]);
    // The same worker has written the same end before: a call that failed is made again, or a call is repeated.
    e.counts = known.state && known.state->state == e.call->as && known.state->lease == e.call->claim.token;
    if (!e.counts || e.call->as != event_state::waiting) continue;
    stored_state again = *known.state;
    again.due = e.call->due;
    again.result = e.call->how;
    e.counts = written(connection_.exchange(write(names_, again, known.at)), names_.results()).has_value();
  }
  for (const ending& e : all)
    if (e.counts && e.event != nullptr && e.call->as == event_state::dead)
      letters.push_back({names_.letter(e.state.id), letter_of(text_of(e.event->from), bytes_of(e.state))});
  for (const message& m : connection_.exchange(letters)) static_cast<void>(written(m, names_.dead()));
  for (ending& e : all) {
    if (e.event != nullptr) {
      if (!e.event->record.event.order_key.empty()) look_again_ = true;
      if (e.counts && e.call->as == event_state::waiting) {
        send_back(*e.event, e.call->due - e.call->now);
        remember_due(e.call->due);
      } else if (e.counts) {
        acknowledge(*e.event);
      }
      book_.remove(e.event->numbers.number);
    }
    if (e.counts)
      e.call->result.emplace();
    else
      e.call->fail(journal::lost_lease(e.call->claim));
  }
}

/// Of what was delivered, the events that are due, with what is known of them.
inline std::vector<delivered_event> journal_streams::due_ones(std::vector<message> delivered, wall_time now) {
  std::vector<delivered_event> all, due;
  std::vector<request> reads;
  const time_point until = std::chrono::steady_clock::now() + ack_wait_;
  for (message& m : delivered) {
    delivered_event e{.from = std::move(m), .numbers = {}, .record = {}, .until = until};
    e.numbers = numbers_in(reply_of(e.from));
    auto r = event_from(text_of(e.from));
    if (!r) {  // another program has written it: kept as a dead letter, so that it holds up nothing
      stored_state s;
      s.state = journal::event_state::dead;
      s.id = "message " + std::to_string(e.numbers.place);
      s.finished_at = now;
      s.result.reason = "it is no event of a journal";
      static_cast<void>(
          written(connection_.exchange({names_.letter(s.id), letter_of(text_of(e.from), bytes_of(s))}), names_.dead()));
      acknowledge(e);
      continue;
    }
    e.record = *std::move(r);
    reads.push_back(names_.last_of(names_.results(), names_.result(e.record.event.id)));
    all.push_back(std::move(e));
  }
  const std::vector<message> states = connection_.exchange(reads);
  std::vector<ended_event> over;
  for (std::size_t i = 0; i < all.size(); ++i) {
    delivered_event& e = all[i];
    const known_state known = state_in(names_, states[i]);
    e.state_at = known.at;
    if (known.state) {
      apply(*known.state, e.record);
      if (finished(known.state->state)) {
        over.push_back({&e, known});
        continue;
      }
    }
    if (e.record.state == journal::event_state::waiting && e.record.due > now) {
      send_back(e, e.record.due - now);
      remember_due(e.record.due);
      continue;
    }
    due.push_back(std::move(e));
  }
  make_sure(connection_, names_, over);
  for (ended_event& e : over) {
    if (e.sure)
      acknowledge(*e.event);
    else
      send_back(*e.event, std::chrono::milliseconds{100});
  }
  return due;
}

/// Adds the events that are the first unfinished ones of their keys: the first of its key in the stream is.
inline void journal_streams::give_fronts(std::size_t most, std::vector<delivered_event>& out) {
  std::vector<request> reads;
  std::vector<std::string> keys;
  for (const auto& [key, events] : held_.keys()) {
    if (book_.has_key(key)) continue;
    keys.push_back(key);
    reads.push_back(names_.first_of(names_.events(), names_.events_of_key(key)));
  }
  const std::vector<message> fronts = connection_.exchange(reads);
  std::vector<request> states, removals;
  std::vector<std::uint64_t> others;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::uint64_t front = number_of(header_of(fronts[i], "Nats-Sequence"));
    if (front == held_.keys().at(keys[i]).begin()->first) {
      if (out.size() < most) out.push_back(held_.pop(keys[i]));
    } else if (const auto r = event_from(text_of(fronts[i]))) {
      others.push_back(front);
      states.push_back(names_.last_of(names_.results(), names_.result(r->event.id)));
    }
  }
  // A server that was killed may still have events that were acknowledged, which would hold up their keys for ever.
  const std::vector<message> replies = connection_.exchange(states);
  for (std::size_t i = 0; i < others.size(); ++i) {
    const known_state known = state_in(names_, replies[i]);
    if (known.state && finished(known.state->state) && known.state->place == others[i])
      removals.push_back(names_.remove(names_.events(), others[i]));
  }
  if (!connection_.exchange(removals).empty()) look_again_ = true;
}

inline void journal_streams::take(take_call& call) {
  const time_point began = std::chrono::steady_clock::now();
  journal::taken out;
  dues_.erase(dues_.begin(), dues_.upper_bound(call.now));
  const auto next_at = [&out](wall_time at) { out.next = std::min(out.next.value_or(at), at); };
  if (call.n == 0) {
    if (!last_ack_.empty()) connection_.exchange({last_ack_, "+ACK"});  // the servers have seen all of ours
    const std::string info{text_of(connection_.exchange(names_.consumer_info()))};
    if (const api_error e = error_in(info); e.code != 0) detail::fail(names_.events(), e);
    const std::uint64_t fresh = number(info, "num_pending").value_or(0);
    unfinished_ = fresh + number(info, "num_ack_pending").value_or(0);
    if (fresh > 0 || (look_again_ && !held_.empty())) next_at(call.now);
  } else {
    held_.remove_if([began](const delivered_event& e) { return e.until <= began; });  // another worker may have it
    if (!held_.empty() && began - renewed_ > ack_wait_ / 3) {
      renewed_ = began;
      held_.remove_if([&](delivered_event& e) {
        connection_.send(e.ack(), "+WPI");
        e.until = began + ack_wait_;
        return false;
      });
    }
    std::vector<delivered_event> given;
    constexpr auto pause = std::chrono::milliseconds{50};
    if (!held_.empty() && (std::exchange(look_again_, false) || began - looked_ > pause)) {
      looked_ = began;
      give_fronts(call.n, given);
    }
    const std::size_t wanted = call.n - given.size();
    if (wanted > 0) {
      std::vector<message> messages = connection_.pull(names_.next_events().subject, wanted);
      if (messages.size() == wanted) next_at(call.now);
      auto fresh = due_ones(std::move(messages), call.now);
      bool ordered = false;
      for (delivered_event& e : fresh) {
        if (e.record.event.order_key.empty()) {
          given.push_back(std::move(e));
        } else if (held_.add(e)) {
          ordered = true;
        } else {
          send_back(e, std::chrono::seconds{1} * (1 << std::min<std::uint64_t>(e.numbers.times, 5)));
        }
      }
      if (ordered) give_fronts(call.n, given);
    }
    lease(call, std::move(given), out);
    if (!held_.empty()) next_at(call.now + pause);
  }
  if (!dues_.empty()) next_at(*dues_.begin());
  call.result.emplace(std::move(out));
}

inline void journal_streams::lease(take_call& call, std::vector<delivered_event> some, journal::taken& out) {
  std::vector<request> writes;
  for (delivered_event& e : some) {
    e.record.lease = journal::lease_token{call.lease.worker, e.numbers.number};
    if (e.numbers.times > 1 || e.state_at > 0)
      writes.push_back(write(names_, e.state(journal::event_state::leased, e.record.due), e.state_at));
  }
  const std::vector<message> replies = connection_.exchange(writes);
  auto reply = replies.begin();
  for (delivered_event& e : some) {
    if (e.numbers.times > 1 || e.state_at > 0) {
      const auto at = written(*reply++, names_.results());
      if (!at) {  // another worker has just recorded something: looked at anew
        send_back(e, std::chrono::milliseconds{100});
        continue;
      }
      e.state_at = *at;
    }
    e.record.state = journal::event_state::leased;
    e.record.leased_until = journal::later_by(call.now, ack_wait_);
    out.events.push_back(e.record);
    book_.add(std::move(e));
  }
}

inline void journal_streams::extend(extend_call& call) {
  std::vector<journal::claim> gone;
  std::vector<delivered_event*> mine;
  std::vector<const journal::extension*> asked;
  std::vector<request> reads;
  const time_point until = std::chrono::steady_clock::now() + ack_wait_;
  for (const journal::extension& x : call.extensions) {
    delivered_event* const e = book_.find(x.claim);
    if (e == nullptr) {
      gone.push_back(x.claim);
      continue;
    }
    connection_.send(e->ack(), "+WPI");
    mine.push_back(e);
    asked.push_back(&x);
    if (x.progress) {
      e->record.result.progress = *x.progress;
      reads.push_back(write(names_, e->state(journal::event_state::leased, e->record.due), e->state_at));
    } else {
      reads.push_back(names_.last_of(names_.results(), names_.result(x.claim.id)));
    }
  }
  const std::vector<message> replies = connection_.exchange(reads);
  for (std::size_t i = 0; i < mine.size(); ++i) {
    delivered_event& e = *mine[i];
    bool lost = false;
    if (asked[i]->progress) {
      const auto at = written(replies[i], names_.results());
      lost = !at;
      if (at) e.state_at = *at;
    } else {  // a copy that lags behind may show an older state
      lost = state_in(names_, replies[i]).at > e.state_at;
    }
    e.until = until;
    if (!lost) continue;
    gone.push_back(asked[i]->claim);
    book_.remove(e.numbers.number);
  }
  call.result.emplace(std::move(gone));
}

inline void journal_streams::find(find_call& call) {
  auto found = find_event(connection_, names_, call.id);
  const delivered_event* const mine = book_.find(std::string_view{call.id});
  if (mine != nullptr && found && !finished(found->state)) {
    found->state = journal::event_state::leased;
    found->lease = mine->record.lease;
    found->leased_until = mine->record.leased_until;
  }
  call.result.emplace(std::move(found));
}

inline void journal_streams::give_back(const std::vector<journal::event_record>& events) {
  for (const journal::event_record& r : events) {
    delivered_event* const e = book_.find(r.claim());
    if (e == nullptr) continue;
    send_back(*e, duration::zero());
    if (!r.event.order_key.empty()) look_again_ = true;
    book_.remove(e->numbers.number);
  }
}

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
