// SPDX-License-Identifier: MIT
#include "status_page.hpp"

#include "access_token.hpp"
#include "json_writer.hpp"
#include "options.hpp"
#include "status_page_document.hpp"
#include "status_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <sys/stat.h>

namespace programs {

namespace {

using page = status_server::page;

page refused(int status, std::string_view why, std::vector<std::string> fields = {}) {
  std::string text;
  json_object{text}.text("error", why).end();
  return {status, text + '\n', "application/json", std::move(fields)};
}

/// As an address says it, without looking a name up.
bool is_loopback(const std::string& host) {
  in_addr four{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24U) == 127;
  return host == "localhost" || host == "[::1]";
}

class served_page final : public status_page {
 public:
  served_page(status_settings s, again::delivery_observer& next, journal_watch* journal)
      : token_{token_of(s)},
        board_{s.endpoints, next, journal, token_.has_value()},
        server_{s.where, std::move(s.allowed_hosts)} {
    // A token in the clear is no secret.
    if (token_ && !is_loopback(server_.host())) {
      throw usage_error{
          fmt::format("--status-admin: the token would travel unencrypted to {}: listen on 127.0.0.1, and "
                      "come through ssh -L or a proxy with TLS",
                      server_.host())};
    }
    server_.serve("/", {}, [](const page_request&) { return document(); });
    server_.serve("/status.json", {},
                  [this](const page_request&) { return page{200, board_.json(), "application/json"}; });
    server_.serve_events("/events", [this](std::uint64_t& seen) { return board_.news(seen); });
    server_.serve_actions("/control", [this](const page_request& r) { return change(r); });
  }

  status_board& board() noexcept override { return board_; }
  void serve(std::unique_ptr<watched_sink> of, message_log& log) override {
    sink_ = std::move(of);
    const int port = server_.start();
    log.say("deliver: --status is http://{}:{}/", server_.host(), port);
  }
  again::task<> run() override {
    return board_.run(*sink_, [this] { return server_.streaming() > 0; }, [this] { server_.wake(); });
  }

 private:
  static std::optional<access_token> token_of(const status_settings& s) {
    if (!s.admin_file) return std::nullopt;
    struct stat about{};
    if (::stat(s.admin_file->c_str(), &about) == 0 && (about.st_mode & 077U) != 0)
      throw usage_error{fmt::format("--status-admin: {}: others may read or change it: chmod 600", *s.admin_file)};
    return access_token{*s.admin_file, "--status-admin"};
  }
  static page document() {
    return {200,
            std::string{status_page_html},
            "text/html; charset=utf-8",
            {fmt::format("Content-Security-Policy: {}", status_page_policy), "Referrer-Policy: same-origin",
             "Cross-Origin-Opener-Policy: same-origin", "Cross-Origin-Resource-Policy: same-origin"}};
  }
  /// POST /control?do=retry&ref=…: what comes of it is told by /events.
  page change(const page_request& r) {
    if (!token_) return refused(403, "read-only: start deliver with --status-admin FILE");
    if (!token_->allows(r.headers.get("Authorization")))
      return refused(401, "the token is not the one in the file of --status-admin", {"WWW-Authenticate: Bearer"});
    using action = status_board::action;
    const std::string what = r.parameter("do").value_or(""), ref = r.parameter("ref").value_or("");
    constexpr std::array<std::pair<std::string_view, action>, 4> known{
        {{"retry", action::retry}, {"discard", action::discard}, {"pause", action::pause}, {"resume", action::resume}}};
    const auto* const meant = std::find_if(known.begin(), known.end(), [&](const auto& k) { return k.first == what; });
    if (meant == known.end()) return refused(400, "do: none of retry, discard, pause, resume");
    switch (board_.ask(meant->second, ref)) {
      case status_board::response::taken: break;
      case status_board::response::unknown:
        return refused(404, "ref: nothing of this run is called that; load the page again");
      case status_board::response::too_many: return refused(503, "too much is asked for at once", {"Retry-After: 1"});
    }
    return {202, "{}\n", "application/json"};
  }

  const std::optional<access_token> token_;
  status_board board_;
  std::unique_ptr<watched_sink> sink_;  // touched by the loop's thread alone
  status_server server_;                // last: its thread uses the others
};

}  // namespace

std::unique_ptr<status_page> status_page::make(status_settings s, again::delivery_observer& next,
                                               journal_watch* journal) {
  return std::make_unique<served_page>(std::move(s), next, journal);
}

}  // namespace programs
