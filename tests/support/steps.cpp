// SPDX-License-Identifier: MIT
#include "misbehaving_server.hpp"

#include <array>

namespace again_test {
namespace {

using namespace std::string_view_literals;

constexpr std::array action_names{
    "respond"sv,
    "close"sv,
    "reset"sv,
    "close_on_accept"sv,
    "refuse"sv,
    "blackhole"sv,
    "hang"sv,
    "delay"sv,
    "drip"sv,
    "slice"sv,
    "truncated"sv,
    "stall_body"sv,
    "raw"sv,
    "early_response"sv,
    "unread"sv,
    "echo"sv,
    "stop_reading"sv,
    "garbage"sv,
    "tls_handshake_stall"sv,
    "tls_untrusted"sv,
    "tls_wrong_host"sv,
    "tls_expired"sv,
    "tls_close_after_write"sv,
    "plain_http"sv,
};
static_assert(action_names.size() == static_cast<std::size_t>(action::plain_http) + 1);

step plain(action what, std::chrono::milliseconds wait = {}) {
  step s;
  s.what = what;
  s.wait = wait;
  return s;
}

}  // namespace

std::string_view name(action what) noexcept {
  const auto index = static_cast<std::size_t>(what);
  return index < action_names.size() ? action_names[index] : "unknown"sv;
}

std::optional<action> action_named(std::string_view text) noexcept {
  for (std::size_t i = 0; i < action_names.size(); ++i) {
    if (action_names[i] == text) return static_cast<action>(i);
  }
  return std::nullopt;
}

step step::body(std::string text) const {
  step s = *this;
  s.content = std::move(text);
  return s;
}

step step::header(std::string field, std::string value) const {
  step s = *this;
  s.headers.emplace_back(std::move(field), std::move(value));
  return s;
}

step step::close_delimited() const {
  step s = *this;
  s.no_length = true;
  return s;
}

step step::in_chunks() const {
  step s = *this;
  s.chunked = true;
  return s;
}

step step::length(std::size_t claimed) const {
  step s = *this;
  s.content_length = claimed;
  return s;
}

step step::ends(ending e) const {
  step s = *this;
  s.end = e;
  return s;
}

step step::and_then(afterwards a, std::chrono::milliseconds after) const {
  step s = *this;
  s.then = a;
  s.wait = after;
  return s;
}

step step::lasting(std::chrono::milliseconds time) const {
  step s = *this;
  s.wait = time;
  return s;
}

step step::every(std::chrono::milliseconds gap) const {
  step s = *this;
  s.interval = gap;
  return s;
}

step respond(int status, header_list headers) {
  step s;
  s.status = status;
  s.headers = std::move(headers);
  return s;
}

step close() { return plain(action::close); }
step reset() { return plain(action::reset); }
step close_on_accept() { return plain(action::close_on_accept); }
step refuse(std::chrono::milliseconds outage) { return plain(action::refuse, outage); }
step blackhole(std::chrono::milliseconds outage) { return plain(action::blackhole, outage); }
step hang(std::chrono::milliseconds silence) { return plain(action::hang, silence); }

step delay(std::chrono::milliseconds silence, step inner) {
  step s = plain(action::delay, silence);
  s.inner = std::make_shared<const step>(std::move(inner));
  return s;
}

step drip(std::string body, std::chrono::milliseconds interval) {
  return plain(action::drip).body(std::move(body)).every(interval);
}

step slice(step inner, std::chrono::milliseconds interval) {
  step s = plain(action::slice).every(interval);
  s.inner = std::make_shared<const step>(std::move(inner));
  return s;
}

step truncated(std::string body, std::size_t content_length, ending end) {
  return plain(action::truncated).body(std::move(body)).length(content_length).ends(end);
}

step stall_body(std::string body, std::size_t content_length, std::chrono::milliseconds silence) {
  return plain(action::stall_body, silence).body(std::move(body)).length(content_length);
}

step raw(std::string bytes, ending end) { return plain(action::raw).body(std::move(bytes)).ends(end); }

step early_response(int status) {
  step s = plain(action::early_response);
  s.status = status;
  return s;
}

step unread(std::string bytes) { return plain(action::unread).body(std::move(bytes)); }
step echo() { return plain(action::echo); }
step stop_reading(std::chrono::milliseconds silence) { return plain(action::stop_reading, silence); }
step garbage(ending end) { return plain(action::garbage).ends(end); }
step tls_handshake_stall(std::chrono::milliseconds silence) { return plain(action::tls_handshake_stall, silence); }
step tls_untrusted() { return plain(action::tls_untrusted); }
step tls_wrong_host() { return plain(action::tls_wrong_host); }
step tls_expired() { return plain(action::tls_expired); }
step tls_close_after_write() { return plain(action::tls_close_after_write); }
step plain_http() { return plain(action::plain_http); }

}  // namespace again_test
