// SPDX-License-Identifier: MIT
/// \file
/// What a server's reply says. The API replies in JSON of its own making, in which each name that is read here stands once; a direct read
/// replies with the message itself and headers.
#pragma once

#include <again/core/expected.hpp>
#include <again/journal/error.hpp>

#include <charconv>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nats/nats.h>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

/// Why a call cannot be done now. Thrown inside of this folder, and caught by `worker` and the readers.
struct nats_failure {
  journal::error why;
};
[[noreturn]] inline void fail(journal::error_kind kind, std::string sentence) {
  throw nats_failure{journal::error{kind, std::move(sentence)}};
}

struct destroy_message {
  void operator()(natsMsg* m) const noexcept { natsMsg_Destroy(m); }
};
using message = std::unique_ptr<natsMsg, destroy_message>;

inline std::string_view text_of(const message& m) noexcept {
  return {natsMsg_GetData(m.get()), static_cast<std::size_t>(natsMsg_GetDataLength(m.get()))};
}
inline std::string_view or_empty(const char* s) noexcept {
  return s != nullptr ? std::string_view{s} : std::string_view{};
}
inline std::string_view subject_of(const message& m) noexcept { return or_empty(natsMsg_GetSubject(m.get())); }
/// Of a delivered event: where it is acknowledged.
inline std::string_view reply_of(const message& m) noexcept { return or_empty(natsMsg_GetReply(m.get())); }
inline std::string_view header_of(const message& m, const char* name) noexcept {
  const char* value = nullptr;
  return natsMsgHeader_Get(m.get(), name, &value) == NATS_OK ? or_empty(value) : std::string_view{};
}
inline std::uint64_t number_of(std::string_view text) noexcept {
  std::uint64_t n = 0;
  std::from_chars(text.data(), text.data() + text.size(), n);
  return n;
}
/// 0: it is no status but a message. 404: there is none, 503: nobody listens to that subject.
inline int status_of(const message& m) noexcept { return static_cast<int>(number_of(header_of(m, "Status"))); }

/// The text behind "NAME":, or nothing.
inline std::optional<std::string_view> member(std::string_view json, std::string_view name) noexcept {
  for (std::size_t at = json.find(name); at != std::string_view::npos; at = json.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    if (at == 0 || json[at - 1] != '"' || json.substr(end, 2) != "\":") continue;
    std::string_view value = json.substr(end + 2);
    while (value.starts_with(' ')) value.remove_prefix(1);
    return value;
  }
  return std::nullopt;
}
inline std::optional<std::uint64_t> number(std::string_view json, std::string_view name) noexcept {
  const auto value = member(json, name);
  return value ? std::optional{number_of(*value)} : std::nullopt;
}
inline std::string text(std::string_view json, std::string_view name) {
  const auto value = member(json, name);
  if (!value || !value->starts_with('"')) return {};
  return std::string{value->substr(1, value->find('"', 1) - 1)};
}

/// What a text in base64 stands for: messages inside of JSON are written in it.
inline std::string bytes_in_base64(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : 63;
  };
  std::string out;
  unsigned held = 0, bits = 0;
  for (const char c : text.substr(0, text.find('='))) {
    held = (held << 6U | static_cast<unsigned>(digit(c))) & 0xffffU;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(held >> bits & 0xffU);
  }
  return out;
}

/// An error of the API by its number; 0: none.
struct api_error {
  std::uint64_t code = 0;
  std::string what{};
};
inline api_error error_in(std::string_view json) {
  const auto inside = member(json, "error");
  if (!inside) return {};
  return {number(*inside, "err_code").value_or(1), text(*inside, "description")};
}
inline constexpr std::uint64_t no_such_stream = 10059, no_such_message = 10037, no_such_consumer = 10014,
                               stream_exists = 10058, wrong_last_sequence = 10071, too_many_messages = 10077,
                               no_space = 10047, no_resources = 10023, message_too_large = 10054, needs_cluster = 10074,
                               no_peers = 10005, not_enabled = 10076, not_enabled_here = 10039;

/// For the errors that any call may get.
[[noreturn]] inline void fail(const std::string& stream, const api_error& e) {
  using journal::error_kind;
  switch (e.code) {
    case too_many_messages:
      fail(error_kind::full,
           "stream " + stream + " has max_msgs unfinished events; deliver or discard some, or raise it");
    case no_space:
    case no_resources:
      fail(error_kind::full,
           "the servers have no room for stream " + stream + " (" + e.what + "); make room, or raise their limits");
    case message_too_large:
      fail(error_kind::invalid, "an event is larger than max_msg_size of stream " + stream + "; send smaller ones");
    case no_such_stream:
      fail(error_kind::unreachable, "there is no stream " + stream + "; restore it, or let a program make it anew");
    default: fail(error_kind::io, "stream " + stream + ": " + e.what + "; see the log of the servers");
  }
}

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
