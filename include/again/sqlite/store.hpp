// SPDX-License-Identifier: MIT
/// \file
/// `sqlite::store`: events in one file of SQLite, for the processes of one machine, one after the other. It is a `journal::store`.
///
/// ```cpp
/// auto opened = again::sqlite::store::open("/var/lib/orders/events.db");
/// if (!opened) return complain(opened.error().text);          // "…: is open in another process (pid 71); end that one, or …"
/// again::durable_sink kept{*opened, orders};                   // <again/journal.hpp>
/// ```
///
/// - Durable: an `append` is acknowledged when its transaction is on the disk (write-ahead log, `synchronous=FULL`). Calls that wait at the
///   same time share one transaction. docs/delivery.md says what each kind of crash loses.
/// - One process at a time: a second one gets `locked`. A store that is opened owns all leases: those of a process that was killed are free
///   at once. Other programs may read the file meanwhile.
/// - Files: PATH, PATH-wal and PATH-shm (SQLite's) and PATH.lock, all with mode 0600 where this makes them.
/// - Damage: checked as `options::check_first` says. A store that finds damage, or whose file was removed or replaced, refuses every call from
///   then on: nothing is acknowledged that is not there.
/// - Room: finished events are discarded as `options::done` and `dead` say, and the file shrinks. Where the disk is full, calls fail with
///   `full` and have changed nothing.
/// - Cancellation, lifetime of calls, errors: those of `journal::store`. The destructor completes the calls that wait.
/// - Threads: the store has one thread, which alone uses the file. `open` and the destructor block. A call is awaited on any loop; the
///   numbers are for any thread.
/// - Cost: 16 MiB of cache at most, however many events wait. decisions/0021 has figures.
/// - Fork: a child that does not exec keeps the lock of the parent's store: open the store after the fork.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/journal/endpoint_store.hpp>
#include <again/journal/store.hpp>
#include <again/sqlite/detail/endpoint_table.hpp>
#include <again/sqlite/detail/pending_call.hpp>
#include <again/sqlite/detail/writer.hpp>
#include <again/sqlite/options.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {

class store {
 public:
  template <class T> using call = detail::pending_call<T>;

  /// Opens the file, or makes it. Blocks: while another program has locked it, and while it is checked.
  static expected<store, journal::error> open(const std::string& path, const options& o = {});
  store(store&&) noexcept = default;
  store& operator=(store&&) = delete;
  ~store() {
    if (writer_) writer_->shut_down();
  }

  call<journal::acknowledged> append(std::vector<journal::new_event> events);
  call<journal::taken> take(std::size_t n, journal::worker_lease lease);
  call<std::vector<journal::claim>> extend(std::vector<journal::extension> extensions, duration span);
  call<void> later(journal::claim c, wall_time due, journal::progress so_far);
  call<void> done(journal::claim c, journal::result how);
  call<void> dead(journal::claim c, journal::result how);
  call<std::optional<journal::event_record>> find(std::string id);
  /// By hand: makes an event due now; a dead one waits again, with its attempts kept. `invalid` with a sentence where there is no such event,
  /// or where it is done or being delivered.
  call<void> retry(std::string id);
  /// By hand: forgets an event that is not being delivered. Nothing remembers its id.
  call<void> discard(std::string id);
  /// As a `journal::endpoint_store`. Another process may change the records meanwhile (`endpoint_editor`).
  call<std::vector<journal::endpoint_record>> endpoints();
  call<std::uint64_t> put(journal::endpoint_record r);
  /// The events that died last, the latest first; without header fields and body.
  call<std::vector<journal::event_record>> latest_dead(std::size_t most);
  /// Discards now what may be discarded, and gives all unused room of the file back. Gives how many events were discarded.
  call<std::uint64_t> tidy();

  // Numbers. Any thread.
  std::uint64_t unfinished() const noexcept { return events(journal::event_state::waiting); }
  std::uint64_t done_events() const noexcept { return events(journal::event_state::done); }
  std::uint64_t dead_events() const noexcept { return events(journal::event_state::dead); }
  std::uint64_t discarded() const noexcept { return writer_->numbers().discarded.value(); }
  std::uint64_t commits() const noexcept { return writer_->numbers().commits.value(); }
  /// Calls that have ended, those that failed included.
  std::uint64_t calls() const noexcept { return writer_->numbers().calls.value(); }
  /// Calls that wait for their transaction.
  std::size_t waiting() const noexcept { return writer_->waiting(); }
  std::uint64_t errors(journal::error_kind kind) const noexcept {
    return writer_->numbers().errors[static_cast<std::size_t>(kind)].value();
  }

 private:
  explicit store(std::shared_ptr<detail::writer> w) noexcept : writer_{std::move(w)} {}
  std::uint64_t events(journal::event_state s) const noexcept {
    const std::int64_t n = writer_->numbers().events[static_cast<std::size_t>(s)].value();
    return n > 0 ? static_cast<std::uint64_t>(n) : 0;
  }
  std::shared_ptr<detail::writer> writer_;
};

// ── definitions ──

inline expected<store, journal::error> store::open(const std::string& path, const options& o) {
  using journal::error_kind;
  try {
    return store{std::make_shared<detail::writer>(path, o)};
  } catch (const detail::sql_failure& f) {
    return unexpected<journal::error>{f.why};
  } catch (const std::system_error&) {
    return unexpected<journal::error>{
        journal::error{error_kind::shortage, path + ": no thread could be started; raise the limit of threads"}};
  } catch (const std::bad_alloc&) {
    return unexpected<journal::error>{
        journal::error{error_kind::shortage, path + ": out of memory; give this process more"}};
  }
}

inline store::call<journal::acknowledged> store::append(std::vector<journal::new_event> events) {
  return {writer_, [w = writer_.get(), all = std::move(events)](detail::event_table& table, wall_time now) {
            if (w->beyond(w->settings().max_bytes))
              return journal::stored_result<journal::acknowledged>{
                  unexpect, journal::error{journal::error_kind::full,
                                           "the journal has max_bytes; deliver or discard events, or raise it"}};
            return table.append(all, now);
          }};
}
inline store::call<journal::taken> store::take(std::size_t n, journal::worker_lease lease) {
  return {writer_,
          [n, l = std::move(lease)](detail::event_table& table, wall_time now) { return table.take(n, l, now); }};
}
inline store::call<std::vector<journal::claim>> store::extend(std::vector<journal::extension> extensions,
                                                              duration span) {
  return {writer_, [all = std::move(extensions), span](detail::event_table& table, wall_time now) {
            return table.extend(all, span, now);
          }};
}
inline store::call<void> store::later(journal::claim c, wall_time due, journal::progress so_far) {
  return {writer_, [c = std::move(c), due, p = std::move(so_far)](detail::event_table& table, wall_time) {
            return table.later(c, due, p);
          }};
}
inline store::call<void> store::retry(std::string id) {
  return {writer_, [id = std::move(id)](detail::event_table& table, wall_time now) {
            table.retry(id, now);
            return journal::stored_result<void>{};
          }};
}
inline store::call<void> store::discard(std::string id) {
  return {writer_, [id = std::move(id)](detail::event_table& table, wall_time) {
            table.discard(id);
            return journal::stored_result<void>{};
          }};
}
inline store::call<std::vector<journal::event_record>> store::latest_dead(std::size_t most) {
  return {writer_, [most](detail::event_table& table, wall_time) {
            return journal::stored_result<std::vector<journal::event_record>>{table.latest_dead(most)};
          }};
}
inline store::call<void> store::done(journal::claim c, journal::result how) {
  return {writer_, [c = std::move(c), r = std::move(how)](detail::event_table& table, wall_time now) {
            return table.finish(c, journal::event_state::done, r, now);
          }};
}
inline store::call<void> store::dead(journal::claim c, journal::result how) {
  return {writer_, [c = std::move(c), r = std::move(how)](detail::event_table& table, wall_time now) {
            return table.finish(c, journal::event_state::dead, r, now);
          }};
}
inline store::call<std::optional<journal::event_record>> store::find(std::string id) {
  return {writer_, [id = std::move(id)](detail::event_table& table, wall_time) { return table.find(id); }};
}
inline store::call<std::uint64_t> store::tidy() {
  return {writer_,
          [w = writer_.get()](detail::event_table& table, wall_time now) -> journal::stored_result<std::uint64_t> {
            const std::int64_t n = table.discard(w->settings(), now, std::numeric_limits<std::int64_t>::max());
            w->shrink(0);
            return static_cast<std::uint64_t>(n);
          }};
}
inline store::call<std::vector<journal::endpoint_record>> store::endpoints() {
  return {writer_,
          [](detail::event_table& table, wall_time) -> journal::stored_result<std::vector<journal::endpoint_record>> {
            return detail::read_endpoints(table.db());
          }};
}
inline store::call<std::uint64_t> store::put(journal::endpoint_record r) {
  return {writer_,
          [r = std::move(r)](detail::event_table& table, wall_time now) -> journal::stored_result<std::uint64_t> {
            table.look_at_all();  // the events of an endpoint that opens are due at once
            return detail::put_endpoint(table.db(), r, now);
          }};
}
static_assert(journal::store<store> && journal::endpoint_store<store>);

}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
