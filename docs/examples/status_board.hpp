// SPDX-License-Identifier: MIT
// What the status page shows: numbers, endpoints, and the latest events that were not delivered, with their attempts.
#pragma once

#include "journal_watch.hpp"

#include <again/core/clock.hpp>
#include <again/coro/scheduler.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/task.hpp>
#include <again/journal/durable_observer.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/delivery_observer.hpp>
#include <again/sink/endpoint_state.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace programs {

/// What is read of the sink. Endpoints are in its order.
struct sink_glance {
  std::uint64_t delivered = 0, failed = 0, attempts = 0;
  std::int64_t in_flight = 0, queued = 0;
  std::vector<std::int64_t> at_endpoints{};  ///< attempts under way
  std::vector<again::endpoint_status> endpoints{};
};

/// The sink, on the loop's thread.
class watched_sink {
 public:
  watched_sink() = default;
  watched_sink(const watched_sink&) = delete;
  watched_sink& operator=(const watched_sink&) = delete;
  virtual ~watched_sink() = default;

  /// Before all else: the loop on which it is.
  virtual void run_on(again::scheduler& loop) = 0;
  virtual sink_glance look() = 0;
  /// By hand, as `again::endpoint_control` has it.
  virtual void pause(std::string_view endpoint) = 0;
  virtual void resume(std::string_view endpoint) = 0;
};

/// Who owns what: the loop's thread observes deliveries, and writes all that is shown into two texts, at most four times a second. A
/// server's thread sees these texts alone, and leaves what a person asks for in a bounded line, from which the loop's thread takes it.
/// The texts and the line are under the mutex; all else is the loop's.
class status_board final : public again::delivery_observer {
 public:
  static constexpr std::size_t most_events = 100;     ///< that are shown; an older one leaves
  static constexpr std::size_t most_attempts = 16;    ///< of one event, the last ones
  static constexpr std::size_t most_tracked = 4096;   ///< events under way whose failed attempts are noted
  static constexpr std::size_t most_endpoints = 200;  ///< that are shown
  static constexpr std::size_t most_commands = 64;    ///< that wait for the loop
  static constexpr std::size_t longest_text = 300;    ///< bytes of an id, a name or an error
  static constexpr std::size_t seconds_shown = 120;
  static constexpr std::chrono::milliseconds every{250};

  /// `next` sees everything, too. `journal`: null without one; `admin`: whether anybody may change something.
  status_board(const std::vector<std::string>& endpoints, again::delivery_observer& next, journal_watch* journal,
               bool admin);

  // ── the loop's thread. None of it throws: without memory, less is shown ──
  void attempted(const again::event& e, std::string_view endpoint, const again::attempt_record& r) override;
  void finished(const again::delivery& d) override;
  void changed(const again::endpoint_change& c) override { next_.changed(c); }
  /// An event of the journal leaves the run: done, dead, or until later.
  void ended(const again::event_end& how) noexcept;
  /// Shows what is new, and does what was asked for, until it is stopped. `watched`: does anybody look? `publish`: there is something new.
  again::task<> run(watched_sink& of, std::function<bool()> watched, std::function<void()> publish);

  // ── any thread ──
  /// Server-sent events for a client that has `seen`; empty: it has all.
  std::string news(std::uint64_t& seen) const;
  /// The same as one JSON object.
  std::string json() const;
  enum class action : std::uint8_t {
    retry,
    discard,
    pause,
    resume
  };  ///< the first two: an event; the others: an endpoint
  enum class response : std::uint8_t { taken, unknown, too_many };
  /// `ref`: an event or an endpoint as the page calls it. What comes of it is shown with it.
  response ask(action what, std::string_view ref);

 private:
  enum class state : std::uint8_t { failed, failing, waiting, dead, done, discarded };
  static std::string_view name(state s) noexcept;
  struct shown_attempt {
    again::wall_time began;
    again::duration took, wait;
    std::size_t endpoint;
    std::string_view error;  // one word; of static storage
    int status;
    bool ok;
  };
  struct attempts_seen {
    std::deque<shown_attempt> last{};
    std::size_t dropped = 0;
    void add(const shown_attempt& a);
  };
  struct shown_event {
    std::uint64_t number = 0;
    std::string key{}, stored_id{}, id{}, reason{}, error{}, note{};
    state now = state::failed;
    int attempts = 0;
    attempts_seen seen{};
    again::wall_time changed{};
    std::optional<again::wall_time> due{};
  };
  struct shown_endpoint {
    std::string name;
    std::optional<again::wall_time> error_at{};
    std::string error{};
    std::uint64_t attempts = 0, failed = 0;
    std::deque<std::uint64_t> by_second{};  // attempts, a second apart
  };
  struct second {
    double delivered, failed;  // per second
  };
  struct command {
    action what;
    std::uint64_t number;  // of the event; of the endpoint, from 1
  };

  static again::wall_time now() noexcept { return again::system_clocks().wall_now(); }
  std::size_t endpoint_at(std::string_view name) const;
  shown_event* find(const std::string& key) noexcept;
  again::task<> recall();
  shown_event& add(std::string key, std::string_view id);
  void note_attempts(shown_event& e, const again::delivery& d, attempts_seen* noted);
  void failed(const again::delivery& d, attempts_seen* noted);

  void sample(const sink_glance& g, std::chrono::steady_clock::time_point at);
  std::string numbers_text(const sink_glance& g) const;
  std::string events_text() const;
  void append(std::string& out, const shown_event& e) const;
  void show(const sink_glance& g);
  void start_commands(again::scope& in, watched_sink& of);
  again::task<> perform(command c);

  // The loop's.
  again::delivery_observer& next_;
  journal_watch* const journal_;
  const bool admin_;
  const std::string run_;  // another one in each run, so that a page of an earlier run changes nothing
  const again::wall_time began_ = now();
  std::vector<shown_endpoint> endpoints_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
  std::unordered_map<std::string, attempts_seen> under_way_;  // by key: events with failed attempts
  std::deque<shown_event> events_;                            // the latest last
  std::uint64_t numbered_ = 0;
  bool events_changed_ = true;
  std::deque<second> history_;
  std::optional<sink_glance> sampled_;
  std::chrono::steady_clock::time_point sampled_at_{};

  mutable std::mutex mutex_;  // guards all below
  std::string numbers_, shown_events_ = "[]";
  std::uint64_t version_ = 0, events_version_ = 0;
  std::deque<command> asked_;
};

}  // namespace programs
