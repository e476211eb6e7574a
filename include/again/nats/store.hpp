// SPDX-License-Identifier: MIT
/// \file
/// `nats::store`: events in streams of NATS JetStream, for any number of processes on any number of machines. It is a `journal::store`
/// and a `journal::endpoint_store`.
///
/// ```cpp
/// auto place = again::nats::parse_place("nats://n1:4222,n2:4222,n3:4222/ORDERS");
/// if (!place) return complain(place.error().text);
/// place->replicas = 3;
/// auto opened = again::nats::store::open(*place);              // makes the streams where they are missing
/// if (!opened) return complain(opened.error().text);          // "nats://n3:4222: no connection to a server (…); start it, or …"
/// again::durable_sink kept{*opened, orders};                   // <again/journal.hpp>
/// ```
///
/// - Durable: an `append` is acknowledged when the servers have acknowledged every event of it: with replicas, most of them have it.
/// - Many workers: all stores of a stream share one durable pull consumer. A process that begins takes part at once; the events of one that
///   ended without closing are free when its leases end (`options::lease`).
/// - One end: of two workers that believe to have an event, one alone can record its end, and the event is acknowledged after that.
/// - Order per key holds across all workers: an event is given out when it is the first of its key in the stream.
/// - What differs from the promises of `journal::store`: an `append` that fails may have stored a part of its events; appended again, none
///   is stored twice. The servers know the ids of finished events for `options::known`, at most until they start anew; an `append` after that
///   counts them as stored, and they are not delivered as long as there is a result of theirs (`options::results`). A lease lasts as long as
///   the ack wait of the consumer, whatever `take` asks for, by the clocks of the servers. Events that are due come roughly in the order of
///   arrival. `taken::next` knows what this process has given back. `find` shows an event that another worker has for the first time as
///   waiting, and one that is done without its headers and body.
/// - States of endpoints are kept for all processes, until somebody removes them. A record that opens its endpoint lets nothing go: JetStream
///   keeps the time of an event that waits, and lets nobody change it.
/// - Cancellation, lifetime of calls, errors: those of `journal::store`. `unreachable`: the servers, most of them, or the stream are not
///   there; what was on its way may have been done. The next call connects anew, to another server, at the earliest after a wait of 50 ms to 5 s.
/// - Threads: the store has one thread, which alone uses the connection; the library reads the socket on another. `open` and the destructor
///   block, at most for some `options::timeout`. A call is awaited on any loop; the numbers are for any thread.
/// - Cost: an event costs a publication, a read of its state, a publication of its end and an acknowledgement; each further lease costs a
///   publication more. Calls that wait at the same time share an exchange. docs/delivery.md has figures.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/journal/endpoint_store.hpp>
#include <again/journal/store.hpp>
#include <again/nats/detail/pending_call.hpp>
#include <again/nats/detail/store_call.hpp>
#include <again/nats/detail/worker.hpp>
#include <again/nats/options.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {

class store {
 public:
  /// Connects, and makes what is missing. Blocks.
  static expected<store, journal::error> open(const options& o);
  store(store&&) noexcept = default;
  store& operator=(store&&) = delete;
  ~store() {
    if (worker_) worker_->shut_down();
  }

  using append_result = detail::pending_call<detail::append_call>;
  using take_result = detail::pending_call<detail::take_call>;
  using extend_result = detail::pending_call<detail::extend_call>;
  using end_result = detail::pending_call<detail::end_call>;
  using find_result = detail::pending_call<detail::find_call>;
  using endpoints_result = detail::pending_call<detail::endpoints_call>;
  using put_result = detail::pending_call<detail::put_call>;

  append_result append(std::vector<journal::new_event> events) { return append_result{worker_, std::move(events)}; }
  take_result take(std::size_t n, journal::worker_lease lease) { return take_result{worker_, n, std::move(lease)}; }
  /// `span`: see above.
  extend_result extend(std::vector<journal::extension> extensions, duration /*span*/) {
    return extend_result{worker_, std::move(extensions)};
  }
  end_result later(journal::claim c, wall_time due, journal::progress so_far) {
    return end_result{worker_, std::move(c), journal::event_state::waiting, due, journal::result{std::move(so_far)}};
  }
  end_result done(journal::claim c, journal::result how) {
    return end_result{worker_, std::move(c), journal::event_state::done, wall_time{}, std::move(how)};
  }
  end_result dead(journal::claim c, journal::result how) {
    return end_result{worker_, std::move(c), journal::event_state::dead, wall_time{}, std::move(how)};
  }
  find_result find(std::string id) { return find_result{worker_, std::move(id)}; }
  /// As a `journal::endpoint_store`. Other processes may change the records meanwhile (`endpoint_editor`).
  endpoints_result endpoints() { return endpoints_result{worker_}; }
  put_result put(journal::endpoint_record r) { return put_result{worker_, std::move(r)}; }

  // Numbers. Any thread.
  /// Of all workers, as the last `take` of none has found it.
  std::uint64_t unfinished() const noexcept { return worker_->unfinished(); }
  /// Calls that have ended, those that failed included.
  std::uint64_t calls() const noexcept { return worker_->calls(); }
  std::uint64_t errors(journal::error_kind kind) const noexcept { return worker_->errors(kind); }

 private:
  explicit store(std::shared_ptr<detail::worker> w) noexcept : worker_{std::move(w)} {}
  std::shared_ptr<detail::worker> worker_;
};

inline expected<store, journal::error> store::open(const options& o) {
  using journal::error_kind;
  if (o.servers.empty() || !detail::stream_name(o.stream))
    return detail::wrong_place("options of nats::store name no server or no stream; see parse_place");
  try {
    return store{std::make_shared<detail::worker>(o)};
  } catch (const detail::nats_failure& f) {
    return unexpected<journal::error>{f.why};
  } catch (const std::system_error&) {
    return unexpected<journal::error>{
        journal::error{error_kind::shortage, "no thread could be started; raise the limit of threads"}};
  } catch (const std::bad_alloc&) {
    return unexpected<journal::error>{journal::error{error_kind::shortage, "out of memory; give this process more"}};
  }
}
static_assert(journal::store<store> && journal::endpoint_store<store>);

}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
