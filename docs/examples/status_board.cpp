// SPDX-License-Identifier: MIT
#include "status_board.hpp"

#include "journal_id.hpp"
#include "json_writer.hpp"
#include "printable.hpp"

#include <again/core/stop_reason.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/this_context.hpp>
#include <again/http/idempotency.hpp>
#include <again/http/status.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <exception>
#include <utility>

namespace programs {

namespace {

/// Text from elsewhere as the page has it: without characters that reorder or hide others, and not too long.
std::string shown(std::string_view text) {
  const bool cut = text.size() > status_board::longest_text;
  text = text.substr(0, status_board::longest_text);
  while (cut && !text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0U) == 0x80) text.remove_suffix(1);
  if (cut && !text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.remove_suffix(1);
  std::string out = printable(text);
  if (cut) out += "…";
  return out;
}
std::int64_t milliseconds(again::duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}
std::int64_t milliseconds(again::wall_time t) { return milliseconds(again::duration{t.time_since_epoch()}); }
double microseconds_in_ms(again::duration d) {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(d).count()) / 1000.0;
}
double tenths(double x) { return std::round(x * 10) / 10; }
std::string short_error(const again::attempt_record& r) {
  if (r.code == 0) return std::string{r.name.empty() ? "failed" : r.name};
  std::string out = std::to_string(r.code);
  if (const auto phrase = again::http::reason_phrase(r.code); !phrase.empty()) out.append(" ").append(phrase);
  return out;
}
template <class Tell> void unless_out_of_memory(Tell tell) noexcept {
  try {
    tell();
  } catch (const std::exception&) {  // less is shown
  }
}

}  // namespace

std::string_view status_board::name(state s) noexcept {
  switch (s) {
    case state::failed: return "failed";
    case state::failing: return "failing";
    case state::waiting: return "waiting";
    case state::dead: return "dead";
    case state::done: return "done";
    case state::discarded: return "discarded";
  }
  return "unknown";
}

void status_board::attempts_seen::add(const shown_attempt& a) {
  last.push_back(a);
  if (last.size() <= most_attempts) return;
  last.pop_front();
  ++dropped;
}

status_board::status_board(const std::vector<std::string>& endpoints, again::delivery_observer& next,
                           journal_watch* journal, bool admin)
    : next_{next}, journal_{journal}, admin_{admin}, run_{again::http::fresh_idempotency_key().substr(0, 8)} {
  endpoints_.reserve(endpoints.size());
  for (const std::string& name : endpoints) endpoints_.push_back({name});
  for (std::size_t i = 0; i < endpoints_.size(); ++i) by_name_.emplace(endpoints_[i].name, i);
}

std::size_t status_board::endpoint_at(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? endpoints_.size() : found->second;
}

void status_board::attempted(const again::event& e, std::string_view endpoint, const again::attempt_record& r) {
  unless_out_of_memory([&] {
    const std::size_t at = endpoint_at(endpoint);
    if (at < endpoints_.size()) {
      shown_endpoint& there = endpoints_[at];
      ++there.attempts;
      if (!r.ok) {
        ++there.failed;
        there.error = short_error(r);
        there.error_at = now();
      }
    }
    const auto noted = under_way_.find(e.key);
    const bool known = noted != under_way_.end();
    if (!known && (r.ok || under_way_.size() >= most_tracked)) return;
    const again::duration took = std::max(r.took, again::duration::zero());
    attempts_seen& seen = known ? noted->second : under_way_[e.key];
    seen.add({now() - took, took, r.last ? again::duration::zero() : r.wait, at, r.ok ? "" : r.name, r.code, r.ok});
  });
  next_.attempted(e, endpoint, r);
}

void status_board::finished(const again::delivery& d) {
  unless_out_of_memory([&] {
    const auto noted = under_way_.find(d.event.key);
    attempts_seen* const seen = noted == under_way_.end() ? nullptr : &noted->second;
    if (!d.ok()) {
      failed(d, seen);
    } else if (shown_event* const before = journal_ == nullptr ? nullptr : find(d.event.key)) {
      note_attempts(*before, d, seen);
    }
    if (seen != nullptr) under_way_.erase(noted);
  });
  next_.finished(d);
}

void status_board::failed(const again::delivery& d, attempts_seen* noted) {
  const auto reason = d.reason();
  if (journal_ != nullptr && reason && cancelled(*reason)) return;  // it is given back, and nothing has failed
  shown_event* e = journal_ == nullptr ? nullptr : find(d.event.key);
  if (e == nullptr) e = &add(d.event.key, d.event.id);
  note_attempts(*e, d, noted);
  e->reason = reason ? again::name(*reason) : std::string_view{};
  e->now = journal_ == nullptr ? state::failed : state::failing;
  e->due.reset();
  for (const again::endpoint_outcome& o : d.outcomes) {
    if (o.result) continue;
    const again::http::error* const last = o.result.error().error();
    if (last == nullptr) continue;
    const std::size_t at = endpoint_at(o.endpoint);
    e->error = last->text();
    if (at < endpoints_.size()) endpoints_[at].error = e->error;
  }
}

/// What is known of the attempts of a delivery is shown with its event: those that were noted, or else the last ones of each outcome.
void status_board::note_attempts(shown_event& e, const again::delivery& d, attempts_seen* noted) {
  e.attempts += d.attempts();
  e.changed = now();
  events_changed_ = true;
  if (noted != nullptr) {
    for (const shown_attempt& a : noted->last) e.seen.add(a);
    e.seen.dropped += noted->dropped;
    return;
  }
  for (const again::endpoint_outcome& o : d.outcomes) {
    const std::size_t at = endpoint_at(o.endpoint);
    e.seen.dropped += o.trace.dropped();
    for (std::size_t i = 0; i < o.trace.size(); ++i) {
      const again::attempt_record& r = o.trace[i];
      const again::wall_time began = e.changed - o.elapsed + std::max(r.began, again::duration::zero());
      e.seen.add({began, std::max(r.took, again::duration::zero()), r.wait, at, r.ok ? "" : r.name, r.code, r.ok});
    }
  }
}

void status_board::ended(const again::event_end& how) noexcept {
  using again::journal::event_state;
  unless_out_of_memory([&] {
    const again::journal::event_record& r = how.record;
    shown_event* e = find(r.event.key);
    if (e == nullptr && how.state != event_state::dead) return;
    if (e == nullptr) e = &add(r.event.key, shown_id(r.event.id));
    events_changed_ = true;
    e->stored_id = r.event.id;
    e->changed = now();
    e->due.reset();
    e->note.clear();
    e->attempts = std::max(e->attempts, r.result.progress.attempts);
    if (how.state == event_state::done) {
      e->now = state::done;
    } else if (how.state == event_state::dead) {
      e->now = state::dead;
      e->reason = r.result.reason;
      if (!r.result.progress.last_error.empty()) e->error = r.result.progress.last_error;
    } else {
      e->now = state::waiting;
      e->due = r.due;
    }
  });
}

status_board::shown_event* status_board::find(const std::string& key) noexcept {
  const auto at = std::find_if(events_.rbegin(), events_.rend(), [&](const shown_event& e) { return e.key == key; });
  return at == events_.rend() ? nullptr : &*at;
}
status_board::shown_event& status_board::add(std::string key, std::string_view id) {
  if (events_.size() == most_events) {  // one that needs no one any more, or the oldest
    const auto settled = std::find_if(events_.begin(), events_.end(), [](const shown_event& e) {
      return e.now == state::done || e.now == state::discarded;
    });
    events_.erase(settled == events_.end() ? events_.begin() : settled);
  }
  shown_event& e = events_.emplace_back();
  e.number = ++numbered_;
  e.key = std::move(key);
  e.id = id;
  return e;
}

again::task<> status_board::run(watched_sink& of, std::function<bool()> watched, std::function<void()> publish) {
  const again::context& here = co_await again::get_context();
  of.run_on(*here.scheduler);
  co_await recall();
  again::scope commands{here};
  auto next_show = std::chrono::steady_clock::time_point::min();
  for (bool on = true; on;) {
    unless_out_of_memory([&] {
      start_commands(commands, of);
      const auto at = std::chrono::steady_clock::now();
      const sink_glance g = of.look();
      sample(g, at);
      if (!watched() && at < next_show) return;
      next_show = at + std::chrono::seconds{1} - every / 2;
      show(g);
      publish();
    });
    on = co_await again::sleep_for(every);
  }
  co_await commands.join();
}

/// The events that have died before this run.
again::task<> status_board::recall() {
  running_journal* const kept = journal_ == nullptr ? nullptr : journal_->running();
  if (kept == nullptr) co_return;
  const std::vector<again::journal::event_record> dead = co_await kept->latest_dead(most_events);
  unless_out_of_memory([&] {
    for (auto r = dead.rbegin(); r != dead.rend(); ++r) {
      if (find(r->event.key) != nullptr) continue;
      shown_event& e = add(r->event.key, shown_id(r->event.id));
      e.stored_id = r->event.id;
      e.now = state::dead;
      e.attempts = r->result.progress.attempts;
      e.reason = r->result.reason;
      e.error = r->result.progress.last_error;
      e.changed = r->finished_at;
    }
  });
}

/// Notes the rates of each second.
void status_board::sample(const sink_glance& g, std::chrono::steady_clock::time_point at) {
  if (sampled_ && at < sampled_at_ + std::chrono::seconds{1} - every / 2) return;
  if (sampled_) {
    const double span = std::chrono::duration<double>(at - sampled_at_).count();
    history_.push_back({tenths(static_cast<double>(g.delivered - sampled_->delivered) / span),
                        tenths(static_cast<double>(g.failed - sampled_->failed) / span)});
    if (history_.size() > seconds_shown) history_.pop_front();
  }
  for (shown_endpoint& e : endpoints_) {
    e.by_second.push_back(e.attempts);
    if (e.by_second.size() > 6) e.by_second.pop_front();
  }
  sampled_ = g;
  sampled_at_ = at;
}

void status_board::show(const sink_glance& g) {
  std::string numbers = numbers_text(g), events;
  const bool changed = events_changed_;
  if (changed) events = events_text();
  const std::lock_guard lock{mutex_};
  ++version_;
  numbers_ = std::move(numbers);
  if (!changed) return;
  events_changed_ = false;
  shown_events_ = std::move(events);
  events_version_ = version_;
}

std::string status_board::numbers_text(const sink_glance& g) const {
  std::string out;
  json_object all{out};
  all.text("run", run_).number("at_ms", milliseconds(now())).number("began_ms", milliseconds(began_));
  all.number("delivered", g.delivered).number("failed", g.failed).number("attempts", g.attempts);
  all.number("in_flight", g.in_flight).number("queued", g.queued);
  all.array("delivered_per_s", history_.size(),
            [&](std::size_t i) { fmt::format_to(std::back_inserter(out), "{}", history_[i].delivered); });
  all.array("failed_per_s", history_.size(),
            [&](std::size_t i) { fmt::format_to(std::back_inserter(out), "{}", history_[i].failed); });
  const std::optional<journal_numbers> kept = journal_ == nullptr ? std::nullopt : journal_->numbers();
  if (kept) {
    json_object journal{all.member("journal")};
    journal.number("waiting", kept->waiting).number("leased", kept->leased);
    journal.number("done", kept->done).number("dead", kept->dead).number("store_errors", kept->store_errors);
    journal.number_or_null("next_due_ms", kept->next_due ? milliseconds(*kept->next_due) : 0,
                           kept->next_due.has_value());
    journal.end();
  } else {
    all.null("journal");
  }
  const auto time = [](json_object& of, std::string_view name, const std::optional<again::wall_time>& at) {
    of.number_or_null(name, at ? milliseconds(*at) : 0, at.has_value());
  };
  all.array("endpoints", std::min(endpoints_.size(), most_endpoints), [&](std::size_t i) {
    const shown_endpoint& e = endpoints_[i];
    json_object one{out};
    const again::endpoint_status is = i < g.endpoints.size() ? g.endpoints[i] : again::endpoint_status{};
    one.text("ref", fmt::format("{}-at{}", run_, i + 1)).text("name", shown(e.name));
    one.text("state", again::name(is.state)).text("reason", again::name(is.reason));
    one.number_or_null("since_ms", milliseconds(is.since), is.since != again::wall_time{});
    one.number_or_null("until_ms", milliseconds(is.until), is.until != again::wall_time::max());
    one.number("in_flight", i < g.at_endpoints.size() ? g.at_endpoints[i] : 0);
    const double span = static_cast<double>(std::max<std::size_t>(e.by_second.size(), 2) - 1);
    const std::uint64_t lately = e.by_second.empty() ? 0 : e.by_second.back() - e.by_second.front();
    one.number("attempts_per_s", tenths(static_cast<double>(lately) / span));
    one.number("attempts", e.attempts).number("failed", e.failed);
    one.text_or_null("error", shown(e.error), !e.error.empty());
    time(one, "error_ms", e.error_at);
    one.end();
  });
  all.number("more_endpoints", endpoints_.size() - std::min(endpoints_.size(), most_endpoints));
  all.boolean("admin", admin_).boolean("has_journal", journal_ != nullptr);
  all.boolean("changes_events", journal_ != nullptr && journal_->control() != nullptr).end();
  return out;
}

std::string status_board::events_text() const {
  std::string out = "[";
  for (auto e = events_.rbegin(); e != events_.rend(); ++e) {
    if (out.size() > 1) out += ',';
    append(out, *e);
  }
  return out += ']';
}
void status_board::append(std::string& out, const shown_event& e) const {
  json_object one{out};
  one.text("ref", run_ + '-' + std::to_string(e.number)).text("id", shown(e.id)).text("state", name(e.now));
  one.number("attempts", e.attempts).number("changed_ms", milliseconds(e.changed));
  one.number_or_null("due_ms", e.due ? milliseconds(*e.due) : 0, e.due.has_value());
  one.text_or_null("reason", shown(e.reason), !e.reason.empty())
      .text_or_null("error", shown(e.error), !e.error.empty());
  one.text_or_null("note", shown(e.note), !e.note.empty());
  one.number("dropped", e.seen.dropped);
  one.array("trace", e.seen.last.size(), [&](std::size_t i) {
    const shown_attempt& a = e.seen.last[i];
    json_object attempt{out};
    attempt.boolean("ok", a.ok).number("at_ms", milliseconds(a.began)).number("took_ms", microseconds_in_ms(a.took));
    attempt.number("wait_ms", microseconds_in_ms(a.wait)).number_or_null("status", a.status, a.status != 0);
    attempt.text_or_null("error", a.error, !a.error.empty() && a.error != "status");
    const bool known = a.endpoint < endpoints_.size();
    attempt.text_or_null("endpoint", known ? shown(endpoints_[a.endpoint].name) : std::string{}, known).end();
  });
  one.end();
}

void status_board::start_commands(again::scope& in, watched_sink& of) {
  for (;;) {
    command c{};
    {
      const std::lock_guard lock{mutex_};
      if (asked_.empty()) return;
      c = asked_.front();
      asked_.pop_front();
    }
    const bool of_event = c.what == action::retry || c.what == action::discard;
    if (of_event) {
      in.spawn(perform(c));
    } else {
      const std::string& name = endpoints_[c.number - 1].name;
      c.what == action::pause ? of.pause(name) : of.resume(name);
    }
  }
}

again::task<> status_board::perform(command c) {
  const auto event = [&] {
    return std::find_if(events_.begin(), events_.end(), [&](const shown_event& e) { return e.number == c.number; });
  };
  const auto asked = event();
  if (asked == events_.end()) co_return;
  status_control* const control = journal_ == nullptr ? nullptr : journal_->control();
  events_changed_ = true;
  if (control == nullptr || asked->stored_id.empty()) {
    asked->note = control == nullptr ? "there is no journal to change"
                                     : "it is being delivered; wait for the end of this delivery";
    co_return;
  }
  std::string id = asked->stored_id, problem;
  try {
    if (c.what == action::retry)
      problem = co_await control->retry(std::move(id));
    else
      problem = co_await control->discard(std::move(id));
  } catch (const std::exception& e) { problem = e.what(); }
  const auto e = event();  // meanwhile others may have left
  if (e == events_.end()) co_return;
  events_changed_ = true;
  e->changed = now();
  e->note = std::move(problem);
  if (!e->note.empty()) co_return;
  e->now = c.what == action::retry ? state::waiting : state::discarded;
  e->due.reset();
  if (c.what == action::retry) e->due = now();
}

std::string status_board::news(std::uint64_t& seen) const {
  const std::lock_guard lock{mutex_};
  std::string out;
  if (version_ == seen) return out;
  out.append("event: numbers\ndata: ").append(numbers_).append("\n\n");
  if (events_version_ > seen) out.append("event: events\ndata: ").append(shown_events_).append("\n\n");
  seen = version_;
  return out;
}
std::string status_board::json() const {
  const std::lock_guard lock{mutex_};
  return "{\"numbers\":" + (numbers_.empty() ? "null" : numbers_) + ",\"events\":" + shown_events_ + "}\n";
}

status_board::response status_board::ask(action what, std::string_view ref) {
  if (!ref.starts_with(run_) || ref.size() <= run_.size() + 1 || ref[run_.size()] != '-') return response::unknown;
  ref.remove_prefix(run_.size() + 1);
  const bool of_event = what == action::retry || what == action::discard;
  if (ref.starts_with("at") == of_event) return response::unknown;
  if (!of_event) ref.remove_prefix(2);
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(ref.data(), ref.data() + ref.size(), number);
  if (problem != std::errc{} || end != ref.data() + ref.size()) return response::unknown;
  if (!of_event && (number < 1 || number > endpoints_.size()))
    return response::unknown;  // there are never more or fewer
  const std::lock_guard lock{mutex_};
  if (asked_.size() >= most_commands) return response::too_many;
  asked_.push_back({what, number});
  return response::taken;
}

}  // namespace programs
