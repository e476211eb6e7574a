// SPDX-License-Identifier: MIT
/// \file
/// `nats::reader`: looks into a journal on JetStream while workers deliver what is in it. It changes nothing.
///
/// ```cpp
/// auto opened = again::nats::reader::open(*again::nats::parse_place("nats://n1,n2,n3/ORDERS"));
/// if (!opened) return complain(opened.error().text);
/// auto seen = opened->each([](const again::journal::event_record& r) { fmt::print("{}\n", r.event.id); return true; });
/// ```
///
/// - It asks the leaders of the streams: a server that was cut off for a while has a copy that lags behind.
/// - What it gives is not the state of one moment: an event that ends meanwhile may be given twice or not at all.
/// - An event that a worker has leased for the first time is shown as waiting: nothing is written for a first lease. Of one that is done there
///   are no headers and no body.
/// - Errors: results are `expected<…, journal::error>`, those of `store::open`. A stream that is missing is not made.
/// - Thread: one at a time. Calls block.
/// - Cost: `each` makes some exchanges with the servers for each event.
#pragma once

#include <again/core/expected.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>
#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/find_event.hpp>
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
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {

/// How much there is.
struct journal_totals {
  std::uint64_t unfinished = 0;   ///< events
  std::uint64_t never_taken = 0;  ///< of these, those that no worker has had yet
  std::uint64_t dead = 0;         ///< dead letters
  std::uint64_t states = 0;       ///< results, and the progress of unfinished events
  std::uint64_t bytes = 0;        ///< of the events
  std::uint64_t bytes_dead = 0, bytes_states = 0;
  std::uint64_t replicas = 1;
};

class reader {
 public:
  template <class T> using result = expected<T, journal::error>;

  /// Connects to a journal that exists.
  static result<reader> open(const options& o) {
    return guarded<reader>([&] {
      reader r{std::make_unique<inside>(o)};
      r.inside_->over.connect();
      static_cast<void>(r.inside_->names.prepare(r.inside_->over, r.inside_->settings, false));
      return r;
    });
  }

  /// Calls `f(const journal::event_record&)` for the unfinished events in the order of arrival, then for the dead ones, then for those that
  /// are done, until it gives false.
  template <class F> result<void> each(F f) const {
    return guarded<void>([&] {
      const detail::layout& names = inside_->names;
      const auto unfinished = [&](const detail::kept_message& m) {
        auto r = detail::event_from(m.body);
        if (!r) return true;
        const detail::known_state known = detail::state_in(
            names, detail::read_at_leader(inside_->over, names.results(),
                                          names.last_at_leader(names.results(), names.result(r->event.id))));
        if (known.state && finished(known.state->state)) return true;  // it is given with the others
        if (known.state) detail::apply(*known.state, *r);
        return f(std::as_const(*r));
      };
      const auto dead = [&](const detail::kept_message& m) {
        const auto l = detail::letter_from(m.body);
        const auto s = l ? detail::state_from(l->state) : std::nullopt;
        if (!s) return true;
        auto r = detail::event_from(l->event);
        if (r)
          detail::apply(*s, *r);
        else
          r = detail::record_of(*s);
        return f(std::as_const(*r));
      };
      const auto done = [&](const detail::kept_message& m) {
        const auto s = detail::state_from(m.body);
        return !s || s->state != journal::event_state::done || f(detail::record_of(*s));
      };
      each_message(names.events(), names.all_events(), unfinished) &&
          each_message(names.dead(), names.all_letters(), dead) &&
          each_message(names.results(), names.all_results(), done);
    });
  }
  /// The event with that id; nothing where there is none.
  result<std::optional<journal::event_record>> find(std::string_view id) const {
    return guarded<std::optional<journal::event_record>>(
        [&] { return detail::find_event(inside_->over, inside_->names, std::string{id}); });
  }
  result<journal_totals> totals() const {
    return guarded<journal_totals>([&] {
      const detail::layout& names = inside_->names;
      const auto replies = inside_->over.exchange({names.stream_info(names.events()), names.stream_info(names.dead()),
                                                   names.stream_info(names.results()), names.consumer_info()});
      const auto get = [&replies](std::size_t i, std::string_view name) {
        return detail::number(detail::text_of(replies[i]), name).value_or(0);
      };
      journal_totals t;
      t.never_taken = get(3, "num_pending");
      t.unfinished = t.never_taken + get(3, "num_ack_pending");
      t.dead = get(1, "messages");
      t.states = get(2, "messages");
      t.bytes = get(0, "bytes");
      t.bytes_dead = get(1, "bytes");
      t.bytes_states = get(2, "bytes");
      t.replicas = get(0, "num_replicas");
      return t;
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
  explicit reader(std::unique_ptr<inside> i) noexcept : inside_{std::move(i)} {}

  template <class F> bool each_message(const std::string& stream, const std::string& subject, F f) const {
    for (std::uint64_t from = 1;;) {
      const detail::kept_message m =
          detail::read_at_leader(inside_->over, stream, inside_->names.first_at_leader(stream, subject, from));
      if (m.at == 0) return true;
      from = m.at + 1;
      if (!f(m)) return false;
    }
  }
  template <class T, class Body> static result<T> guarded(Body body) {
    try {
      if constexpr (std::is_void_v<T>) {
        body();
        return {};
      } else {
        return body();
      }
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
