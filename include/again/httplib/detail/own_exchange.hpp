// SPDX-License-Identifier: MIT
/// \file
/// `own_exchange`: an exchange whose response is read by us, byte for byte as the wire brings it (wire.hpp).
#pragma once

#include <again/httplib/detail/exchange.hpp>
#include <again/httplib/detail/wire.hpp>

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
  own_exchange(const outgoing& what, body::reader* content, socket_watch& watch, cancel_switch& stop)
      : exchange{what, content, watch, stop} {}

  bool on_bytes(std::string_view bytes) override {
    read_ += bytes.size();
    const auto now = parser().feed(bytes);
    if (parser_->has_head()) head_has_come();
    return now == response_parser::state::more;
  }
  std::optional<steady::time_point> wait_until() const override { return read_until(); }
  void on_end() override {
    ended_in_order_ = true;
    static_cast<void>(parser().end());
  }
  bool complete() const override { return parser_ && parser_->whole(); }
  bool refuses_rest() const override { return parser_ && parser_->has_head() && parser_->status() >= 300; }
  void on_written(std::size_t n) override { written_ += n; }
  void on_write_ended() override { must_close = true; }
  void on_failure(int error) override { seen.socket_error = error; }

  static void let_library_read(httplib::Request&) noexcept {}  // the library reads nothing but our empty response
  /// After the library has returned: what it says, corrected by what we have read.
  httplib_says settle(httplib_says says, const httplib::Response&) {
    seen.parsed_here = true;
    if (!parser_) return says;
    take_from(*parser_, ended_in_order_);
    // The library saw our empty response end. Whether the real one has ended, the parser knows.
    return says == httplib_says::success && !seen.complete ? httplib_says::other : says;
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

  std::optional<response_parser> parser_;
  bool ended_in_order_ = false;
  std::uint64_t written_ = 0, read_ = 0;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
