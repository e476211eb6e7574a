// SPDX-License-Identifier: MIT
/// \file
/// `nats::editor`: changes a journal on JetStream by hand while workers deliver what is in it: sends a dead event again, or throws an event
/// away.
///
/// ```cpp
/// auto opened = again::nats::editor::open(*again::nats::parse_place("nats://n1,n2,n3/ORDERS"));
/// if (!opened) return complain(opened.error().text);
/// auto changed = opened->retry("41", now);
/// ```
///
/// - It reads at the leaders of the streams, as `nats::reader` does.
/// - Each call is some exchanges. One that was cut off may be made again.
/// - Errors: results are `expected<void, journal::error>`: those of `store::open`, and `invalid` with a sentence where there is no such
///   event, or where it cannot be sent again: it is done, or it waits. JetStream keeps the time of an event that waits, and lets nobody change it.
/// - Thread: one at a time. Calls block.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/http/idempotency.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>
#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/kept_message.hpp>
#include <again/nats/detail/layout.hpp>
#include <again/nats/detail/record_bytes.hpp>
#include <again/nats/detail/state_message.hpp>
#include <again/nats/options.hpp>

#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {

class editor {
 public:
  using result = expected<void, journal::error>;

  /// Connects to a journal that exists.
  static expected<editor, journal::error> open(const options& o) {
    try {
      editor e{std::make_unique<inside>(o)};
      e.inside_->over.connect();
      static_cast<void>(e.inside_->names.prepare(e.inside_->over, e.inside_->settings, false));
      return e;
    } catch (const detail::nats_failure& f) { return unexpected<journal::error>{f.why}; }
  }

  /// A dead event waits again, due at once, at the endpoints that have not taken it, with its attempts kept; a deadline that has passed is
  /// dropped. It comes after the events of its order key that came meanwhile.
  result retry(std::string_view id, wall_time now) {
    return changed(id, [&](const std::string& name) {
      const detail::layout& names = inside_->names;
      const auto read = detail::read_at_leader(
          inside_->over, {{names.dead(), names.last_at_leader(names.dead(), names.letter(name))},
                          {names.results(), names.last_at_leader(names.results(), names.result(name))}});
      const detail::known_state known = detail::state_in(names, read[1]);
      const auto l = read[0].at != 0 ? detail::letter_from(read[0].body) : std::nullopt;
      auto event = l ? detail::event_from(l->event) : std::nullopt;
      if (!known.state && !event && place_of(name) == 0) refuse("there is no event " + name);
      if (known.state && known.state->state == journal::event_state::done)
        refuse("event " + name + " is done: every endpoint has taken it");
      if (!event) refuse("event " + name + " is not dead: it is with a worker, or waits until its time");
      // No end any more, then the event, then no letter: one that is cut off can be made again.
      detail::stored_state s = known.state.value_or(detail::stored_state{});
      s.state = journal::event_state::waiting;
      s.lease = {};
      s.due = now;
      s.finished_at = journal::no_time;
      s.result.reason.clear();
      journal::progress& p = s.result.progress;
      if (!p.refused.empty()) p.only.insert(p.only.end(), p.refused.begin(), p.refused.end());
      p.refused.clear();
      s.id = event->event.id;
      s.key = event->event.key;
      s.order_key = event->event.order_key;
      s.created = event->created;
      if (!detail::written(inside_->over.exchange(detail::write(names, s, known.at)), names.results()))
        refuse("event " + name + " has just been changed by somebody else; look at it again");
      if (event->deadline <= now) event->deadline = journal::no_time;
      static_cast<void>(detail::written(
          inside_->over.exchange(detail::request{names.event(event->event.order_key, event->event.id),
                                                 detail::bytes_of(*event), http::fresh_idempotency_key(), 0}),
          names.events()));
      expect(inside_->over.exchange(names.purge(names.dead(), names.letter(name))), names.dead());
    });
  }
  /// Forgets the event, whatever its state. A worker that has it may still send it.
  result discard(std::string_view id) {
    return changed(id, [&](const std::string& name) {
      const detail::layout& names = inside_->names;
      const std::uint64_t place = place_of(name);
      const bool unfinished = place != 0;
      if (unfinished) expect(inside_->over.exchange(names.remove(names.events(), place)), names.events());
      std::uint64_t gone = unfinished ? 1 : 0;
      for (const auto& [stream, subject] :
           {std::pair{names.results(), names.result(name)}, std::pair{names.dead(), names.letter(name)}}) {
        const detail::message reply = inside_->over.exchange(names.purge(stream, subject));
        expect(reply, stream);
        gone += detail::number(detail::text_of(reply), "purged").value_or(0);
      }
      if (gone == 0) refuse("there is no event " + name);
    });
  }

 private:
  struct inside {
    explicit inside(const options& o) : settings{o}, names{settings}, over{settings} {
      settings.lease = duration::zero();  // it takes nothing
    }
    options settings;
    const detail::layout names;
    detail::connection over;
  };
  explicit editor(std::unique_ptr<inside> i) noexcept : inside_{std::move(i)} {}

  [[noreturn]] static void refuse(std::string why) { detail::fail(journal::error_kind::invalid, std::move(why)); }
  static void expect(const detail::message& reply, const std::string& stream) {
    if (const detail::api_error e = detail::error_in(detail::text_of(reply)); e.code != 0) detail::fail(stream, e);
  }
  // Among the unfinished events; 0: it is none of them.
  std::uint64_t place_of(const std::string& name) {
    const detail::layout& names = inside_->names;
    return detail::read_at_leader(inside_->over, names.events(),
                                  names.last_at_leader(names.events(), names.event_by_id(name)))
        .at;
  }
  template <class Change> result changed(std::string_view id, Change change) {
    try {
      change(std::string{id});
      return {};
    } catch (const detail::nats_failure& f) {
      return unexpected<journal::error>{f.why};
    } catch (const std::bad_alloc&) {
      return unexpected<journal::error>{journal::error{journal::error_kind::shortage}};
    }
  }

  std::unique_ptr<inside> inside_;
};

}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
