// SPDX-License-Identifier: MIT
/// \file
/// `response_reader`: an HTTP/1.1 answer from bytes as they come, for the two that cpp-httplib loses: one after an interim answer
/// (103), and one that came before the request was written out.
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/detail/response_framing.hpp>
#include <again/http/message.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace again::inline AGAIN_ABI::http::detail {

/// Interim answers are passed over (RFC 9110 15.2), trailers dropped. At most 64 KiB of head, `max_body` of body.
class response_reader {
 public:
  enum class state { more, whole, nonsense, too_large };

  explicit response_reader(std::uint64_t max_body) noexcept : max_body_{max_body} {}

  state feed(std::string_view bytes) {
    if (now_ != state::more) return now_;
    pending_.append(bytes);
    while (now_ == state::more && step()) {}
    return now_;
  }
  /// The connection has ended.
  state end() noexcept {
    if (now_ == state::more && place_ == places::body && frame_.kind == framing::none) now_ = state::whole;
    return now_;
  }
  /// Status and headers are known.
  bool has_head() const noexcept { return place_ != places::status && place_ != places::fields; }
  /// What there is of it.
  response take() noexcept { return std::move(answer_); }

 private:
  enum class places { status, fields, body, chunk_size, chunk, chunk_end, trailers };

  /// False: more bytes are needed.
  bool step() {
    if (place_ == places::body || place_ == places::chunk) return take_content();
    const auto end = pending_.find('\n');
    if (end == std::string::npos) {
      if (pending_.size() > most_line) now_ = state::nonsense;
      return false;
    }
    std::string line = pending_.substr(0, end);
    pending_.erase(0, end + 1);
    if (line.ends_with('\r')) line.pop_back();
    if (place_ != places::chunk_size && place_ != places::chunk_end) head_ += line.size();
    if (head_ > most_head || !take_line(line)) now_ = state::nonsense;
    return true;
  }

  bool take_line(const std::string& line) {
    switch (place_) {
      case places::status: return take_status(line);
      case places::fields:
        if (line.empty()) return end_of_head();
        return take_field(line);
      case places::chunk_size: {
        const auto size = parse_size(std::string_view{line}.substr(0, line.find(';')));
        if (!size) return false;
        left_ = *size;
        place_ = left_ == 0 ? places::trailers : places::chunk;
        return true;
      }
      case places::chunk_end: place_ = places::chunk_size; return line.empty();
      default:  // trailers
        if (line.empty()) now_ = state::whole;
        return true;
    }
  }
  bool take_status(std::string_view line) {
    if (!line.starts_with("HTTP/1.") || line.size() < 12 || !is_digit(line[7]) || line[8] != ' ') return false;
    const auto status = digits(line.substr(9, 3), 999);
    if (!status || *status < 100 || (line.size() > 12 && line[12] != ' ')) return false;
    answer_ = response{static_cast<int>(*status)};
    answer_.version = std::string{line.substr(5, 3)};
    place_ = places::fields;
    return true;
  }
  bool take_field(std::string_view line) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return false;
    answer_.headers.add(std::string{line.substr(0, colon)}, line.substr(colon + 1));
    return true;
  }
  bool end_of_head() {
    if (answer_.status < 200) {
      place_ = places::status;
      return answer_.status != 101;
    }
    frame_ = framing_of(answer_.headers);
    place_ = frame_.kind == framing::chunked ? places::chunk_size : places::body;
    left_ = frame_.length_value;
    if (answer_.status == 204 || answer_.status == 304) {
      now_ = state::whole;
    } else if (frame_.kind == framing::length) {
      if (left_ > max_body_) now_ = state::too_large;
      if (left_ == 0) now_ = state::whole;
    }
    return frame_.kind != framing::nonsense;
  }
  static std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
    text = trim(text);
    if (text.empty() || text.size() > 15) return std::nullopt;
    std::uint64_t n = 0;
    for (const char c : text) {
      const int digit = hex_value(c);
      if (digit < 0) return std::nullopt;
      n = n * 16 + static_cast<std::uint64_t>(digit);
    }
    return n;
  }
  bool take_content() {
    std::uint64_t n = pending_.size();
    if (frame_.kind != framing::none) n = std::min(n, left_);
    if (n > max_body_ - answer_.body.size()) {
      n = max_body_ - answer_.body.size();
      now_ = state::too_large;
    }
    answer_.body.append(pending_, 0, static_cast<std::size_t>(n));
    pending_.erase(0, static_cast<std::size_t>(n));
    if (frame_.kind == framing::none || now_ != state::more) return false;
    left_ -= n;
    if (left_ > 0) return false;
    if (frame_.kind == framing::length) now_ = state::whole;
    place_ = places::chunk_end;
    return true;
  }

  static constexpr std::size_t most_line = 16384, most_head = 65536;

  const std::uint64_t max_body_;
  state now_ = state::more;
  places place_ = places::status;
  std::string pending_;
  std::size_t head_ = 0;
  framing frame_;
  std::uint64_t left_ = 0;
  response answer_;
};

}  // namespace again::inline AGAIN_ABI::http::detail
