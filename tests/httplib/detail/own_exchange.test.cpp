// SPDX-License-Identifier: MIT
#include <again/httplib/detail/own_exchange.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <string>

using namespace again;
using namespace again::http;
using again::http::detail::httplib_says;
using again::http::detail::own_exchange;
using again::http::detail::socket_watch;

namespace {

struct exchange_of_put {
  const outgoing what{{scheme::http, "h", 80}, request::put("/").body("x"), {}};
  socket_watch watch{false, -1};
  again::http::detail::cancel_switch stop;
  own_exchange x{what, nullptr, watch, stop};
};

}  // namespace

TEST_CASE("the head of a final response of 300 or above has no use for the rest of the request") {
  struct row {
    std::string head;
    bool refuses;
  };
  const row rows[] = {
      {"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\n", true},
      {"HTTP/1.1 300 Choices\r\nContent-Length: 5\r\n\r\n", true},
      {"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\n", true},
      {"HTTP/1.1 500 No\r\n\r\n", true},
      {"HTTP/1.1 299 Odd\r\nContent-Length: 5\r\n\r\n", false},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false},
      {"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n", false},  // not all of it
      {"HTTP/1.1 100 Continue\r\n\r\n", false},
      {"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 5", false},
      {"", false},
  };
  for (const row& r : rows) {
    CAPTURE(r.head);
    exchange_of_put e;
    if (!r.head.empty()) CHECK(e.x.on_bytes(r.head));
    CHECK(e.x.refuses_rest() == r.refuses);
    CHECK(!e.x.complete());
  }
}

TEST_CASE("a whole response counts, whatever the library says of the write, and its connection is not used again") {
  exchange_of_put e;
  CHECK(!e.x.on_bytes("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"));
  CHECK(e.x.complete());
  e.x.on_write_ended();
  const auto says = e.x.settle(httplib_says::write, {});
  CHECK(e.x.whole(says));
  CHECK(e.x.must_close);
  CHECK(e.x.response.status == 413);
}

TEST_CASE("a body that ends with its connection is whole only where that ended in order") {
  for (const bool in_order : {false, true}) {
    CAPTURE(in_order);
    exchange_of_put e;
    CHECK(e.x.on_bytes("HTTP/1.1 200 OK\r\n\r\nto the end"));
    if (in_order) {
      e.x.on_end();
    } else {
      e.x.on_failure(ECONNRESET);
    }
    CHECK(e.x.whole(e.x.settle(httplib_says::other, {})) == in_order);
    CHECK(e.x.seen.socket_error == (in_order ? 0 : ECONNRESET));
    CHECK(e.x.response.body == "to the end");
  }
}
