// SPDX-License-Identifier: MIT
// How `deliver` runs over a journal, whatever store it is.
#pragma once

#include "batch_intake.hpp"
#include "journal_id.hpp"
#include "journal_run.hpp"
#include "line_intake.hpp"
#include "run_observer.hpp"

#include <again/journal.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace programs {

/// The sink as the durable sink uses it: events have the ids that their producers gave them.
class plain_sink {
 public:
  plain_sink(sink& to, reporter& report) : to_{to}, report_{report} {}
  bool closed() const noexcept { return to_.closed(); }
  again::endpoint_control& endpoints() noexcept { return to_.endpoints(); }
  again::task<again::delivery> deliver(again::event e) {
    const running_mark mark{report_};
    e.id = shown_id(e.id);
    co_return co_await to_.deliver(std::move(e));
  }

 private:
  class running_mark {
   public:
    explicit running_mark(reporter& r) noexcept : report_{r} { report_.began(); }
    running_mark(const running_mark&) = delete;
    running_mark& operator=(const running_mark&) = delete;
    ~running_mark() { report_.paused(); }

   private:
    reporter& report_;
  };
  sink& to_;
  reporter& report_;
};

/// There is one call of `close`, whether a signal or the end of the input is the reason.
template <class Kept> again::task<> close_at(Kept& kept, again::inplace_stop_token end) {
  static_cast<void>(co_await stop_wait{end});
  co_await kept.close(again::forever);
}
inline again::task<> forward(again::inplace_stop_token asked, again::inplace_stop_source& end) {
  const bool now = co_await stop_wait{asked};
  if (now) end.request_stop();
}

/// `Store`: a `journal::store` that also counts its unfinished events.
template <again::journal::store Store> class journal_over final : public journal_delivery {
 public:
  explicit journal_over(Store&& s) : store_{std::move(s)} {}

  again::task<> run(const parts& p, again::inplace_stop_token asked, again::inplace_stop_token cancel) override {
    const again::context& here = co_await again::get_context();
    again::context until_cancelled = here;
    until_cancelled.stop = cancel;
    read_lines lines;
    failure_teller failures{p.log};
    plain_sink to{p.to, p.report};
    run_observer told{p, lines, failures};
    again::durable_options o = p.settings.durable;
    o.observer = &told;
    kept_sink kept{store_, to, o};
    watched_store<Store, kept_sink> watched{store_, kept};
    const journal_watch::mark shown{p.watch, watched};
    line_intake<kept_sink> reading{p, kept, lines, failures, told, cancel};
    {
      again::inplace_stop_source end;
      again::scope delivering{until_cancelled}, storing{here}, beside{here};
      delivering.spawn(kept.run());
      delivering.spawn(close_at(kept, end.get_token()));
      beside.spawn(forward(asked, end));
      beside.spawn(journal_watch::keep_up(p.watch));
      if (p.status != nullptr) beside.spawn(p.status->run());
      storing.spawn(reading.run());
      if (p.batches != nullptr) storing.spawn(take_batches(p, kept, failures, told, asked));
      p.source.start();  // last: a start that fails above must not lose lines that were already read
      co_await storing.join();
      co_await finish_what_is_due(kept, asked);
      end.request_stop();
      co_await delivering.join();
      beside.request_stop();
      co_await beside.join();
    }
    if (reading.repeated > 0) p.log.account("deliver: {} of the lines were in the journal already", reading.repeated);
    complete_ = !told.broken && kept.unrecorded() == 0;
    if (kept.unrecorded() > 0)
      p.log.account("deliver: {} results could not be recorded: these events are sent again, with the same key",
                    kept.unrecorded());
    co_await tell_what_stays(p);
  }
  bool complete() const noexcept override { return complete_; }

 private:
  using kept_sink = again::durable_sink<Store, plain_sink>;

  /// Lets the other source of events hand in until a signal comes, and waits for what it has handed in.
  static again::task<> take_batches(const parts& p, kept_sink& kept, failure_teller& failures, run_observer& told,
                                    again::inplace_stop_token asked) {
    const again::context& here = co_await again::get_context();
    const auto append = [&kept, &failures, &told](std::vector<again::journal::new_event> events)
        -> again::task<again::journal::stored_result<again::journal::acknowledged>> {
      const bool some = !events.empty();  // an empty batch asks whether the journal is there, not whether it has room
      auto got = co_await kept.append(std::move(events));
      if (got && some)
        failures.works();
      else if (!got && got.error().kind != again::journal::error_kind::invalid)
        told.store_failed(got.error());
      co_return got;
    };
    batch_queue queue{here, append};
    p.batches->start(queue);
    static_cast<void>(co_await stop_wait{asked});
    p.batches->stop();
    co_await queue.finish();
  }

  /// When the next event is due; nothing: none waits. `problem`: the store's.
  again::task<std::optional<again::wall_time>> next_due(std::optional<again::journal::error>& problem) {
    auto got = co_await store_.take(0, again::journal::worker_lease{"", std::chrono::seconds{1}});
    problem.reset();
    if (got) co_return got->next;
    problem = got.error();
    co_return std::nullopt;
  }
  again::task<> finish_what_is_due(kept_sink& kept, again::inplace_stop_token asked) {
    const again::context& here = co_await again::get_context();
    while (!asked.stop_requested()) {
      if (kept.held() == 0) {
        std::optional<again::journal::error> problem;
        const auto next = co_await next_due(problem);
        // What was taken before that is held by now: the writer keeps the order of the calls.
        const bool over =
            problem ? !again::journal::may_pass(problem->kind) : !next || *next > here.scheduler->wall_now();
        if (over && kept.held() == 0) co_return;
      }
      static_cast<void>(co_await again::sleep_for(std::chrono::milliseconds{10}));
    }
  }
  again::task<> tell_what_stays(const parts& p) {
    const again::context& here = co_await again::get_context();
    std::optional<again::journal::error> problem;
    const auto next = co_await next_due(problem);
    const std::uint64_t left = store_.unfinished();
    if (left == 0) co_return;
    const again::duration in = next ? *next - here.scheduler->wall_now() : again::duration::zero();
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(std::max(in, again::duration::zero())).count();
    const std::string when = problem        ? std::string{"they cannot be read"}
                             : !next        ? "other programs have them, or their time is kept by the servers"
                             : seconds == 0 ? "the next one is due now"
                                            : fmt::format("the next one is due in {} s", seconds);
    p.log.account("deliver: {} {} in the journal: {}", left, left == 1 ? "event stays" : "events stay", when);
  }

  Store store_;
  bool complete_ = true;
};

}  // namespace programs
