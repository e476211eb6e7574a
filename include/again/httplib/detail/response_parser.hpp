// SPDX-License-Identifier: MIT
/// \file
/// `response_parser`: an HTTP/1.1 response from bytes as they come. cpp-httplib has its own, which percent-decodes header values,
/// takes what follows an interim response for its body, and ends a body at malformed chunks.
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/message.hpp>
#include <again/httplib/detail/framing.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Interim responses are passed over (RFC 9110 15.2), trailers dropped. Bounds: 64 KiB of head, interim responses and trailers
/// included, in lines of at most 16 KiB; `max_body` of body. A folded field becomes one line. `bodyless`: the response to a HEAD. Knows no socket and no thread.
class response_parser {
 public:
  enum class state { more, whole, malformed, too_large };

  explicit response_parser(std::uint64_t max_body, bool bodyless = false) noexcept
      : max_body_{max_body}, bodyless_{bodyless} {}

  state feed(std::string_view bytes) {
    const bool fresh = pending_.empty();
    if (!fresh) pending_.append(bytes);
    std::string_view unread = fresh ? bytes : std::string_view{pending_};
    while (now_ == state::more && step(unread)) {}
    if (fresh)
      pending_.assign(unread);
    else
      pending_.erase(0, pending_.size() - unread.size());
    return now_;
  }
  /// The connection has ended.
  state end() noexcept {
    if (now_ == state::more && until_close()) now_ = state::whole;
    return now_;
  }
  bool whole() const noexcept { return now_ == state::whole; }
  /// Status and headers are known.
  bool has_head() const noexcept { return part_ != part::status && part_ != part::fields; }
  /// Of the response whose head has come last, interim ones included; 0: none.
  int status() const noexcept { return response_.status; }
  /// Something of the final response has come.
  bool begun() const noexcept { return part_ != part::status || !pending_.empty(); }
  /// The body ends with the connection.
  bool until_close() const noexcept { return part_ == part::body && frame_.kind == framing::until_close; }
  /// The connection cannot be used again after this response.
  bool last() const noexcept {
    return frame_.close || response_.version == "1.0" || until_close() || !pending_.empty();
  }
  /// What is wrong, where it is `malformed`; static storage.
  const char* reason() const noexcept { return reason_; }
  /// What there is of it.
  response take() noexcept { return std::move(response_); }

 private:
  enum class part { status, fields, body, chunk_size, chunk, chunk_end, trailers };

  bool refuse(const char* reason) noexcept {
    reason_ = reason;
    now_ = state::malformed;
    return false;
  }
  /// Takes a line, or what there is of content, off `in`. False: more bytes are needed, or it is over.
  bool step(std::string_view& in) {
    if (part_ == part::body || part_ == part::chunk) return take_content(in);
    const auto end = in.find('\n');
    if (part_ == part::status && !in.substr(0, 7).starts_with(std::string_view{"HTTP/1."}.substr(0, in.size())))
      return refuse("the response is not HTTP/1.1");
    if (end > most_line && in.size() > most_line) return refuse("a line of the response's head is longer than 16 KiB");
    if (end == std::string_view::npos) return false;
    std::string_view line = in.substr(0, end);
    in.remove_prefix(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (part_ != part::chunk_size && part_ != part::chunk_end) head_ += line.size() + 2;
    if (head_ > most_head) return refuse("the response's head is longer than 64 KiB");
    return take_line(line);
  }

  bool take_line(std::string_view line) {
    switch (part_) {
      case part::status: return take_status(line);
      case part::fields:
        if (line.empty()) return end_of_head();
        return take_field(line);
      case part::chunk_size: return take_chunk_size(trim(line.substr(0, line.find(';'))));  // extensions are ignored
      case part::chunk_end:
        part_ = part::chunk_size;
        return line.empty() || refuse("the response's chunks are malformed");
      default:  // trailers
        if (line.empty()) now_ = state::whole;
        return true;
    }
  }
  bool take_status(std::string_view line) {
    if (!line.starts_with("HTTP/1.") || line.size() < 12 || !is_digit(line[7]) || line[8] != ' ')
      return refuse("the response's status line is malformed");
    const auto status = digits(line.substr(9, 3), 999);
    if (!status || *status < 100 || (line.size() > 12 && line[12] != ' '))
      return refuse("the response's status line is malformed");
    response_ = response{static_cast<int>(*status)};
    response_.version = std::string{line.substr(5, 3)};
    part_ = part::fields;
    return true;
  }
  bool take_field(std::string_view line) {
    const bool folded = line.front() == ' ' || line.front() == '\t';
    const auto colon = line.find(':');
    if (folded ? response_.headers.empty() : colon == std::string_view::npos || !is_token(line.substr(0, colon)))
      return refuse("a header line of the response is malformed");
    // RFC 9110 5.5: reject or replace. A CR, LF or NUL that is kept begins a new line somewhere.
    for (const char c : line)
      if (c == '\r' || c == '\0') return refuse("a header of the response has a control character in it");
    if (folded) return response_.headers.unfold(line), true;  // RFC 9112 5.2: a user agent MUST
    response_.headers.add(std::string{line.substr(0, colon)}, line.substr(colon + 1));
    return true;
  }
  bool end_of_head() {
    if (response_.status < 200) {
      part_ = part::status;
      return response_.status != 101 || refuse("the response switches protocols, which we did not ask for");
    }
    frame_ = framing_of(response_.headers);
    part_ = frame_.kind == framing::chunked ? part::chunk_size : part::body;
    left_ = frame_.length_value;
    if (bodyless_ || response_.status == 204 || response_.status == 304) {
      if (frame_.kind == framing::malformed) frame_.close = true;
      frame_.kind = framing::length;
      now_ = state::whole;
    } else if (frame_.kind == framing::malformed) {
      return refuse("the response's framing headers mean nothing");
    } else if (frame_.kind == framing::length) {
      if (left_ > max_body_) now_ = state::too_large;
      if (left_ == 0) now_ = state::whole;
      if (now_ == state::more) response_.body.reserve(static_cast<std::size_t>(std::min(left_, most_reserved)));
    }
    return now_ == state::more;
  }
  /// Any number of digits that fits on a line, leading zeros included (RFC 9112 7.1): the value is bounded.
  bool take_chunk_size(std::string_view hex) noexcept {
    if (hex.empty()) return refuse("the response's chunks are malformed");
    left_ = 0;
    bool too_large = false;
    for (const char c : hex) {
      const int digit = hex_value(c);
      if (digit < 0) return refuse("the response's chunks are malformed");
      too_large = too_large || left_ >> 60U != 0;
      left_ = left_ << 4U | static_cast<std::uint64_t>(digit);
    }
    if (too_large) now_ = state::too_large;
    part_ = left_ == 0 ? part::trailers : part::chunk;
    return !too_large;
  }
  bool take_content(std::string_view& in) {
    std::uint64_t n = in.size();
    if (frame_.kind != framing::until_close) n = std::min(n, left_);
    if (n > max_body_ - response_.body.size()) {
      n = max_body_ - response_.body.size();
      now_ = state::too_large;
    }
    response_.body.append(in.substr(0, static_cast<std::size_t>(n)));
    in.remove_prefix(static_cast<std::size_t>(n));
    if (frame_.kind == framing::until_close || now_ != state::more) return false;
    left_ -= n;
    if (left_ > 0) return false;
    if (frame_.kind == framing::length) {
      now_ = state::whole;
      return false;
    }
    part_ = part::chunk_end;
    return true;
  }

  static constexpr std::size_t most_line = 16384, most_head = 65536;
  static constexpr std::uint64_t most_reserved = std::uint64_t{1} << 20U;  // on a server's word alone

  const std::uint64_t max_body_;
  const bool bodyless_;
  const char* reason_ = "";
  state now_ = state::more;
  part part_ = part::status;
  std::string pending_;
  std::size_t head_ = 0;
  framing frame_;
  std::uint64_t left_ = 0;
  response response_;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
