// SPDX-License-Identifier: MIT
// The pages that `deliver` serves: /metrics and /export; what it takes to serve the one of --status.
#pragma once

#include "deliver_options.hpp"
#include "journal_watch.hpp"
#include "message_log.hpp"
#include "responses.hpp"
#include "status_page.hpp"
#include "status_server.hpp"

#include <again/metrics.hpp>
#include <again/sink/sink.hpp>

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace programs {

using sink = again::sink_over<any_transport>;

/// Null without --status.
inline std::unique_ptr<status_page> status_page_of(const deliver_settings& s, again::delivery_observer& next,
                                                   journal_watch& journal) {
  if (!s.status) return nullptr;
  status_settings settings{*s.status, s.status_admin, s.allowed_hosts, {}};
  for (const again::endpoint& e : s.endpoints) settings.endpoints.push_back(shown_name(e));
  try {
    return status_page::make(std::move(settings), next, s.journal ? &journal : nullptr);
  } catch (const usage_error& e) {
    const std::string why = e.what();
    throw usage_error{why.starts_with("--") ? why : "--status: " + why};
  }
}
class page_sink final : public watched_sink {
 public:
  page_sink(sink& to, std::size_t endpoints) : to_{to}, endpoints_{endpoints} {}
  void run_on(again::scheduler& loop) override { to_.endpoints().run_on(loop); }
  sink_glance look() override {
    sink_glance g{to_.delivered(), to_.failed(), to_.attempts(),       to_.in_flight(),
                  to_.queued(),    {},           to_.endpoints().all()};
    for (std::size_t i = 0; i < endpoints_; ++i) g.at_endpoints.push_back(to_.in_flight_at(i));
    return g;
  }
  void pause(std::string_view endpoint) override { to_.endpoints().pause(endpoint); }
  void resume(std::string_view endpoint) override { to_.endpoints().resume(endpoint); }

 private:
  sink& to_;
  std::size_t endpoints_;
};
inline void serve_status(status_page& page, sink& to, std::size_t endpoints, message_log& log) {
  try {
    page.serve(std::make_unique<page_sink>(to, endpoints), log);
  } catch (const usage_error& e) { throw usage_error{fmt::format("--status: {}", e.what())}; }
}

/// Serves the pages named on the command line for as long as it lives.
class pages {
 public:
  pages(const deliver_settings& s, const sink& to, const journal_watch& journal, responses& kept, message_log& log)
      : log_{log} {
    using page = status_server::page;
    if (s.metrics) {
      open("--metrics", *s.metrics, s, "/metrics", {}, [&to, &journal](const page_request&) {
        return page{200, again::metrics_page{}.add(to).add(journal).text(),
                    std::string{again::metrics_page::content_type}};
      });
    }
    if (s.exported) {
      open("--export", *s.exported, s, "/export", {"POST", "DELETE"},
           [&kept, by_get = s.poll_by_get](const page_request& r) {
             responses::page p = exported(kept, r, by_get);
             return page{p.status, std::move(p.body), "application/json"};
           });
    }
  }

 private:
  /// GET and HEAD are safe (RFC 9110 9.2.1) and only look; POST and DELETE take. `by_get`: so does GET with type=poll.
  static responses::page exported(responses& kept, const page_request& r, bool by_get) {
    const bool safe = r.method == "GET" || r.method == "HEAD";
    const std::string type = r.parameter("type").value_or(safe ? "peek" : "poll");
    if (type != "peek" && type != "poll") return responses::refused(400, "type: neither peek nor poll");
    if (!safe && type == "peek") return responses::refused(400, "type: " + r.method + " takes the items; GET peeks");
    if (safe && type == "poll" && !by_get)
      return responses::refused(405, "type: poll takes the items: use POST, or start with --export-poll-by-get");
    const bool takes = type == "poll" && r.method != "HEAD";
    return kept.get(takes ? responses::access::take : responses::access::look, r.parameter("pageNum"),
                    r.parameter("pageSize"));
  }

  template <class Make> void open(const char* flag, const std::string& where, const deliver_settings& s,
                                  const char* path, std::vector<std::string> methods, Make make) {
    try {
      auto& server = servers_.emplace_back(std::make_unique<status_server>(where, s.allowed_hosts));
      server->serve(path, std::move(methods), std::move(make));
      const int port = server->start();
      log_.say("deliver: {} is http://{}:{}{}", flag, server->host(), port, path);
    } catch (const usage_error& e) { throw usage_error{fmt::format("{}: {}", flag, e.what())}; }
  }
  message_log& log_;
  std::vector<std::unique_ptr<status_server>> servers_;
};

}  // namespace programs
