// SPDX-License-Identifier: MIT
// Delivers one event: POSTs it to the endpoints in turn until one takes it. Whoever hands an event in gets its final result.
#pragma once

#include "event.hpp"
#include "outcome.hpp"
#include "retry_options.hpp"

#include <again/again.hpp>
#include <again/http.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace programs {

using one_send = again::http::send_operation<again::http::httplib_transport>;

/// An operation whose attempts go to one endpoint after the other.
class rotation {
 public:
  explicit rotation(std::vector<one_send> sends) : sends_{std::move(sends)} {}
  auto operator()() { return sends_[at_++ % sends_.size()](); }

 private:
  std::vector<one_send> sends_;
  std::size_t at_ = 0;
};

class delivery {
 public:
  delivery(const std::vector<again::http::url>& endpoints, const retry_options& how, std::size_t at_once, bool keys)
      : policy_{how.policy}, keys_{keys}, transport_{transport_options(how, at_once)} {
    for (const again::http::url& u : endpoints)
      clients_.push_back({client{transport_, u.origin, how.client_options()}, u.target});
  }

  /// The final result; `see` is told of every attempt.
  template <class See> again::task<outcome> deliver(const event& e, See see) {
    rotation sends{operations(e)};
    std::vector<again::attempt_record> trace;
    const auto observe = [&trace, &see](const again::attempt_record& record) {
      trace.push_back(record);
      see(record);
    };
    again::scheduler& where = co_await again::get_scheduler();
    const again::time_point start = where.now();
    auto result = co_await again::retry(policy_, std::move(sends)).observe(observe);
    co_return outcome_of(std::move(result), std::move(trace), where.now() - start);
  }

 private:
  using client = again::http::client_over<again::http::httplib_transport>;
  struct endpoint {
    client through;
    std::string target;
  };

  static again::http::httplib_options transport_options(const retry_options& how, std::size_t at_once) {
    again::http::httplib_options o;
    o.workers = at_once;
    o.max_connections = at_once;
    o.cacert = how.cacert;
    return o;
  }

  std::vector<one_send> operations(const event& e) {
    std::vector<one_send> all;
    const std::size_t first = next_++;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      const endpoint& to = clients_[(first + i) % clients_.size()];
      again::http::request r = again::http::request::post(to.target);
      r.body(e.body);
      if (!to.through.settings().headers.contains("Content-Type")) r.header("Content-Type", e.content_type);
      if (keys_) r.idempotency_key(e.key);
      all.push_back(to.through.send(std::move(r)));
    }
    return all;
  }

  again::checked_policy policy_;
  bool keys_;
  again::http::httplib_transport transport_;
  std::vector<endpoint> clients_;
  std::size_t next_ = 0;
};

/// Delivers all lines of `source`, `at_once` at a time. `report(event, outcome)` gets every event's result, `refuse(number, why)` every
/// line that is no event, `see(event, record)` every attempt. After `source.close()` no event is begun: its result is `cancelled_before_start`.
template <class Source, class Report> again::task<> deliver_lines(Source& source, delivery& to, std::size_t longest,
                                                                  Report& report) {
  for (;;) {
    auto line = co_await source.next();
    if (!line) co_return;
    if (line->too_long) {
      report.refuse(line->number, fmt::format("oversized: more than {} bytes", longest));
      continue;
    }
    auto e = parse_event(std::move(line->text), line->number);
    if (!e) {
      report.refuse(line->number, e.error());
      continue;
    }
    if (source.closed()) {
      report.finished(*e, not_sent(again::http::error_kind::cancelled, again::stop_reason::cancelled_before_start, {}));
      continue;
    }
    report.began(*e);
    const auto see = [&report, &e](const again::attempt_record& record) { report.attempted(*e, record); };
    const outcome o = co_await to.deliver(*e, see);
    report.finished(*e, o);
  }
}

template <class Source, class Report>
again::task<> deliver_all(Source& source, delivery& to, std::size_t at_once, std::size_t longest, Report& report) {
  const again::context& here = co_await again::get_context();
  again::scope workers{here};
  for (std::size_t i = 0; i < at_once; ++i) workers.spawn(deliver_lines(source, to, longest, report));
  co_await workers.join();
}

}  // namespace programs
