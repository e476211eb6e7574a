// SPDX-License-Identifier: MIT
/// \file
/// `library_exchange`: an exchange whose response is read by cpp-httplib, where its class lets us not derive (TLS since 0.16). Where the
/// status decides, a body that stalls is waited for as long as the idle limit says: the library does not let go before.
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/httplib/detail/exchange.hpp>
#include <again/httplib/detail/framing.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

class library_exchange final : public exchange {
 public:
  library_exchange(const outgoing& what, body::reader* content, socket_watch& watch, cancel_switch& stop)
      : exchange{what, content, watch, stop} {}

  /// Has the library report to this exchange, which the request refers to from now on.
  void let_library_read(httplib::Request& r) {
    r.response_handler = [this](const httplib::Response& head) { return take_head(head); };
    r.content_receiver = [this](const char* data, std::size_t n, auto, auto) { return take_body(data, n); };
  }
  /// After the library has returned: what it says, corrected by what we have seen.
  httplib_says settle(httplib_says says, const httplib::Response& head) {
    const bool success = says == httplib_says::success;
    if (success && !seen.headers_complete && !final_) take_head(head);  // no body: our handler was not asked
    if (!final_) return says;
    if (success) static_cast<void>(final_->end());
    take_from(*final_, false);
    // The library has found its own end of the body. Whether the final response has ended, the parser knows.
    return success && !seen.complete && !seen.until_close ? httplib_says::other : says;
  }
  bool whole(httplib_says says) const noexcept {
    if (final_) return seen.complete;
    return says == httplib_says::success && !seen.interim && !seen.bad_framing && !seen.until_close;
  }

 private:
  bool take_head(const httplib::Response& head) {
    const bool framed = head.has_header("Content-Length") || head.has_header("Transfer-Encoding");
    if (head.status < 200 && head.status != 101 && !is_head() && !framed) {
      // An interim response. The library takes what follows, which is the final one, for its body.
      moved();
      must_close = true;
      if (!final_) final_.emplace(max_body(), false);
      return true;
    }
    response.status = head.status;
    response.version = head.version.starts_with("HTTP/") ? head.version.substr(5) : head.version;
    response.headers.reserve(head.headers.size());
    for (const auto& [name, value] : head.headers) response.headers.add(name, without_controls(value));
    seen.headers_complete = true;
    moved();
    head_has_come();
    const framing f = framing_of(response.headers);
    const bool bodyless = response.status == 204 || response.status == 304 || is_head();
    seen.chunked = f.kind == framing::chunked;
    seen.until_close = f.kind == framing::until_close && !bodyless;
    // 421: not on this connection, but perhaps on another (RFC 9110 15.5.20). 304: some versions wait for a body.
    must_close =
        f.close || response.status < 200 || response.status == 304 || response.status == 421 || seen.until_close;
    seen.interim = response.status < 200;
    seen.complete = response.status == 304;
    seen.bad_framing = f.kind == framing::malformed && !bodyless;
    if (f.kind == framing::length && !bodyless) {
      seen.too_large = f.length_value > max_body();
      if (!seen.too_large)  // on a server's word alone no more than this
        response.body.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(f.length_value, 1U << 20U)));
    }
    return !seen.interim && !seen.complete && !seen.bad_framing && !seen.too_large;
  }
  bool take_body(const char* data, std::size_t n) {
    moved();
    if (read_until() && last_progress() >= *read_until()) return false;
    if (final_) {
      const auto now = final_->feed({data, n});
      if (final_->has_head()) head_has_come();
      return now == response_parser::state::more;
    }
    const auto fits = static_cast<std::size_t>(std::min<std::uint64_t>(n, max_body() - response.body.size()));
    response.body.append(data, fits);
    seen.too_large = fits < n;
    return !seen.too_large;
  }

  std::optional<response_parser> final_;  // where interim ones came before
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
