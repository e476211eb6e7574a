// SPDX-License-Identifier: MIT
#include <again/httplib/detail/response_parser.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using again::http::detail::response_parser;
using state = response_parser::state;

namespace {

struct reading {
  state now = state::more;
  again::http::response response;
  std::string why;
  bool last = false, until_close = false;
};

reading read(std::string_view bytes, std::size_t piece, bool ends = false, std::uint64_t max_body = 1000,
             bool head = false) {
  response_parser parser{max_body, head};
  reading r;
  for (; !bytes.empty() && r.now == state::more; bytes.remove_prefix(std::min(piece, bytes.size())))
    r.now = parser.feed(bytes.substr(0, piece));
  if (ends) r.now = parser.end();
  r.why = parser.reason();
  r.last = parser.last();
  r.until_close = parser.until_close();
  r.response = parser.take();
  return r;
}

}  // namespace

TEST_CASE("a response is the same in one piece and byte by byte") {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{100000}}) {
    CAPTURE(piece);
    const reading a = read(
        "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nA: b%20c \r\nContent-Length: 5\r\n\r\nhello", piece);
    CHECK(a.now == state::whole);
    CHECK(a.response.status == 200);
    CHECK(a.response.header("A") == "b%20c");
    CHECK(!a.response.header("Link"));
    CHECK(a.response.body == "hello");
    CHECK(!a.last);
    const reading b =
        read("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: r\r\n\r\n", piece);
    CHECK(b.now == state::whole);
    CHECK(b.response.body == "abcde");
    CHECK(!b.last);
    const reading c = read("HTTP/1.0 200 OK\n\nto the end", piece, true);
    CHECK(c.now == state::whole);
    CHECK(c.until_close);
    CHECK(c.last);
    CHECK(c.response.body == "to the end");
  }
}

TEST_CASE("what ends too early is not whole") {
  for (const std::string_view cut : {"", "HT", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 103 Early\r\n\r\n",
                                     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
                                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"}) {
    CAPTURE(cut);
    CHECK(read(cut, 3, true).now == state::more);
  }
}

TEST_CASE("what is not HTTP/1.1 is refused with a reason, as soon as that can be known") {
  struct row {
    std::string bytes, why;
  };
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const row rows[] = {
      {"garbage", "the response is not HTTP/1.1"},
      {"HTTP/2", "the response is not HTTP/1.1"},
      {"HTTP/1.1 Omg\r\n", "the response's status line is malformed"},
      {"HTTP/1.1 20\r\n", "the response's status line is malformed"},
      {"HTTP/1.1 2000 OK\r\n", "the response's status line is malformed"},
      {"HTTP/1.1 101 Switching\r\n\r\n", "the response switches protocols, which we did not ask for"},
      {head + "no colon\r\n", "a header line of the response is malformed"},
      {head + "a b: c\r\n", "a header line of the response is malformed"},
      {head + "a: b\r\n folded\r\n", "a header line of the response is malformed"},
      {head + "a: b\rc\r\n", "a header of the response has a control character in it"},
      {head + std::string(20000, 'x'), "a line of the response's head is longer than 16 KiB"},
      {head + "x: " + std::string(20000, 'x') + "\r\n", "a line of the response's head is longer than 16 KiB"},
      {head + "Content-Length: 5x\r\n\r\n", "the response's framing headers mean nothing"},
      {head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "the response's framing headers mean nothing"},
      {head + "Transfer-Encoding: gzip\r\n\r\n", "the response's framing headers mean nothing"},
      {head + "Transfer-Encoding: chunked\r\n\r\nx\r\n", "the response's chunks are malformed"},
      {head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello world\r\n", "the response's chunks are malformed"},
      {head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "the response's chunks are malformed"},
  };
  for (const row& r : rows) {
    CAPTURE(r.bytes.substr(0, 80));
    for (const std::size_t piece : {std::size_t{1}, std::size_t{100000}}) {
      const reading got = read(r.bytes, piece);
      CHECK(got.now == state::malformed);
      CHECK(got.why == r.why);
    }
  }
}

TEST_CASE("an endless head is refused, of one response or of many interim ones") {
  std::string lines = "HTTP/1.1 200 OK\r\n", interim;
  for (int i = 0; i < 20000; ++i) lines += "a: b\r\n";
  for (int i = 0; i < 20000; ++i) interim += "HTTP/1.1 103 Early\r\n\r\n";
  CHECK(read(lines, 4096).why == "the response's head is longer than 64 KiB");
  CHECK(read(interim, 4096).why == "the response's head is longer than 64 KiB");
}

TEST_CASE("a body past its limit is too large, by its announcement or as it comes; a huge length reserves nothing") {
  CHECK(read("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello", 100, false, 10).now == state::too_large);
  CHECK(read("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", 100, false, 10).now ==
        state::too_large);
  const reading r = read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n", 3, false, 10);
  CHECK(r.now == state::too_large);
  CHECK(r.response.body == "hello worl");
  CHECK(read("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nx", 100, false, ~std::uint64_t{}).response.body ==
        "x");
}

TEST_CASE("204, 304 and the response to HEAD have no body, and bytes after a response spoil the connection") {
  CHECK(read("HTTP/1.1 204 No\r\n\r\n", 1).now == state::whole);
  CHECK(read("HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n", 1).now == state::whole);
  const reading head = read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 1, false, 10, true);
  CHECK(head.now == state::whole);
  CHECK(!head.last);
  CHECK(read("HTTP/1.1 204 No\r\n\r\nmore", 100).last);
  CHECK(read("HTTP/1.1 204 No\r\nConnection: Foo, CLOSE\r\n\r\n", 100).last);
}
