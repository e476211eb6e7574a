// SPDX-License-Identifier: MIT
// What the transport over cpp-httplib has alone. What every transport does: tests/transport/.
#include <again/httplib/transport.hpp>

#include <again/coro/sync_wait.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>

using namespace again;
using namespace again::http;
using namespace again_test;
using again::http::request;

TEST_CASE("what a library decodes into control characters is encoded again") {
  CHECK(http::detail::without_controls("a\r\nb\tc\x7f d") == "a%0D%0Ab\tc%7F d");
}

TEST_CASE("https through a proxy is refused where the library could hang") {
  misbehaving_server proxy{{}};
  httplib_options options;
  options.proxy = proxy.url();
  httplib_transport transport{options};
  if (!http::detail::connect_is_safe<>()) {
    const auto secure =
        sync_wait(transport.send(std::make_shared<const outgoing>(origin{scheme::https, "no.such.host.example", 443},
                                                                  request::get("/"), patient),
                                 1));
    CHECK(kind_of(secure) == "unsupported");
    CHECK(reach_of(secure) == "not_sent");
    CHECK(proxy.requests_seen() == 0);
  }
}

TEST_CASE("a transport without workers is refused with a reason") {
  httplib_options none;
  none.workers = 0;
  CHECK_THROWS_WITH_AS(httplib_transport{none}, "again: httplib_options: workers must be at least 1",
                       std::invalid_argument);
}

TEST_CASE("a file of certificates can be looked at before a transport is made") {
  const std::string authority = misbehaving_server::authority_file(), missing = authority + ".missing";
  CHECK(validate_cacert(authority) == std::nullopt);
  REQUIRE(validate_cacert(missing));
  CHECK(validate_cacert(missing)->text() == "'" + missing + "': No such file or directory");
}
