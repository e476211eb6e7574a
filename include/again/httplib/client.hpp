// SPDX-License-Identifier: MIT
/// \file
/// `client`: requests to one origin over cpp-httplib, as operations that `retry` can start again.
///
/// ```cpp
/// again::http::client api{"http://127.0.0.1:8080"};
/// auto once  = co_await api.get("/quote/ACME");                        // expected<response, error>
/// auto tried = co_await again::retry(polite, api.get("/quote/ACME"));  // expected<response, failure<error>>
/// ```
///
/// What its operations promise stands in http/client.hpp; what the transport can do, in httplib/transport.hpp.
/// - Lifetime: destroying a client ends the attempts that run as `cancelled`; each still gives its result.
#pragma once

#include <again/core/expected.hpp>
#include <again/http/client.hpp>
#include <again/http/invalid.hpp>
#include <again/http/url.hpp>
#include <again/httplib/transport.hpp>

#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// A client that owns its transport.
class client : public client_over<httplib_transport> {
 public:
  /// `url`: scheme, host and port. Throws std::invalid_argument that says what is wrong with it.
  explicit client(std::string_view url, client_options options = {}, httplib_options transport = {})
      : client{std::make_unique<httplib_transport>(std::move(transport)), origin_of(url), std::move(options)} {}

  /// The same without throwing for a bad URL.
  static expected<client, invalid> open(std::string_view url, client_options options = {},
                                        httplib_options transport = {}) {
    auto o = parse_origin(url);
    if (!o) return unexpected<invalid>{std::move(o.error())};
    return client{std::make_unique<httplib_transport>(std::move(transport)), std::move(*o), std::move(options)};
  }

 private:
  client(std::unique_ptr<httplib_transport> t, http::origin o, client_options options)
      : client_over{*t, std::move(o), std::move(options)}, transport_{std::move(t)} {}
  static http::origin origin_of(std::string_view url) {
    auto o = parse_origin(url);
    if (!o)
      throw std::invalid_argument{"again::http::client: " +
                                  o.error().text()};  // without the URL: it may hold a password
    return std::move(*o);
  }

  std::unique_ptr<httplib_transport> transport_;
};

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
