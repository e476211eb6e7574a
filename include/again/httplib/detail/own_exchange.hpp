// SPDX-License-Identifier: MIT
/// \file
/// `own_exchange`: an exchange whose response is read by us, byte for byte as the wire brings it (wire.hpp).
#pragma once

#include <again/httplib/detail/exchange.hpp>
#include <again/httplib/detail/wire.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

class own_exchange final : public exchange, public wire_listener {
 public:
  own_exchange(const outgoing& what, body::reader* content, socket_watch& watch, cancel_switch& stop, bool tls)
      : exchange{what, content, watch, stop}, tls_{tls} {}

  bool on_bytes(std::string_view bytes) override {
    moved();
    read_ += bytes.size();
    const auto now = parser().feed(bytes);
    if (parser_->has_head()) head_has_come();
    return now == response_parser::state::more;
  }
  std::optional<steady::time_point> wait_until() const override { return read_until(); }
  void on_end() override { static_cast<void>(parser().end()); }
  bool complete() const override { return parser_ && parser_->whole(); }
  void on_written(std::size_t n) override { written_ += n; }

  static void let_library_read(httplib::Request&) noexcept {}  // the library reads nothing but our empty response
  /// After the library has returned: what it says, corrected by what we have read.
  httplib_says settle(httplib_says says, const httplib::Response&) {
    bool ended_in_order = false;
    if (says == httplib_says::write && !tls_ && !parser_) ended_in_order = read_early_response();
    if (!parser_) return says;
    const bool success = says == httplib_says::success;
    if (success) static_cast<void>(parser_->end());
    take_from(*parser_, ended_in_order);
    // The library saw our empty response end. Whether the real one has ended, the parser knows.
    return success && !seen.complete && !seen.until_close ? httplib_says::other : says;
  }
  bool whole(httplib_says) const noexcept { return seen.complete; }

  /// Bytes on the socket, or in the TLS session.
  std::uint64_t written() const noexcept { return written_; }
  std::uint64_t read() const noexcept { return read_; }

 private:
  response_parser& parser() {
    if (!parser_) parser_.emplace(max_body(), is_head());
    return *parser_;
  }
  /// A server may respond and close before the request is written out. What it said is still there. True: its connection
  /// ended in order after that.
  bool read_early_response() {
    std::array<char, 4096> buffer;
    must_close = true;
    while (const std::size_t n = watch().read_rest(buffer)) {
      if (parser().feed({buffer.data(), n}) != response_parser::state::more) return false;
    }
    if (!parser_) return false;
    const auto end = watch().examine();
    const bool in_order = parser_->until_close() && end.peer_closed && !end.reset;
    if (in_order) static_cast<void>(parser_->end());
    if (!parser_->whole()) parser_.reset();
    return in_order;
  }

  const bool tls_;
  std::optional<response_parser> parser_;
  std::uint64_t written_ = 0, read_ = 0;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
