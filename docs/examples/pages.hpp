// SPDX-License-Identifier: MIT
// The pages that `deliver` serves: /metrics and /export.
#pragma once

#include "deliver_options.hpp"
#include "message_log.hpp"
#include "responses.hpp"
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

/// Serves the pages named on the command line for as long as it lives.
class pages {
 public:
  pages(const deliver_settings& s, const sink& to, responses& kept, message_log& log) : log_{log} {
    using page = status_server::page;
    if (s.metrics) {
      open("--metrics", *s.metrics, s, "/metrics", {}, [&to](const page_request&) {
        return page{200, again::metrics_page{}.add(to).text(), std::string{again::metrics_page::content_type}};
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
