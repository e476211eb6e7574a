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
      {head + " a: b\r\n", "a header line of the response is malformed"},
      {head + "\t\r\na: b\r\n", "a header line of the response is malformed"},
      {head + "a: b\r\n c\rd\r\n", "a header of the response has a control character in it"},
      {"HTTP/1.1 103 Early\r\na: b\r\n\r\n" + head + " c: d\r\n", "a header line of the response is malformed"},
      {head + "a: b\rc\r\n", "a header of the response has a control character in it"},
      {head + std::string(20000, 'x'), "a line of the response's head is longer than 16 KiB"},
      {head + "x: " + std::string(20000, 'x') + "\r\n", "a line of the response's head is longer than 16 KiB"},
      {head + "Content-Length: 5x\r\n\r\n", "the response's framing headers mean nothing"},
      {head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "the response's framing headers mean nothing"},
      {head + "Transfer-Encoding: gzip\r\n\r\n", "the response's framing headers mean nothing"},
      {head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
       "the response's framing headers mean nothing"},
      {head + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
       "the response's framing headers mean nothing"},
      {head + "Transfer-Encoding: chunked\r\n\r\nx\r\n", "the response's chunks are malformed"},
      {head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello world\r\n", "the response's chunks are malformed"},
      {head + "Transfer-Encoding: chunked\r\n\r\n\r\n", "the response's chunks are malformed"},
      {head + "Transfer-Encoding: chunked\r\n\r\n;x\r\n", "the response's chunks are malformed"},
      {head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", "the response's chunks are malformed"},
      {head + "Transfer-Encoding: chunked\r\n\r\n0x5\r\n", "the response's chunks are malformed"},
      {head + "Transfer-Encoding: chunked\r\n\r\n5 5\r\n", "the response's chunks are malformed"},
      {head + "Transfer-Encoding: chunked\r\n\r\n" + std::string(20000, '0'),
       "a line of the response's head is longer than 16 KiB"},
      {head + "Content-Length: 5 5\r\n\r\n", "the response's framing headers mean nothing"},
      {head + "Content-Length: +5\r\n\r\n", "the response's framing headers mean nothing"},
      {head + "Content-Length: 5,\r\n 6\r\n\r\n", "the response's framing headers mean nothing"},
      {head + "Content-Length: \r\n\r\n", "the response's framing headers mean nothing"},
      {"HTTP/1.1 +20 OK\r\n", "the response's status line is malformed"},
      {"HTTP/1.1 099 Low\r\n", "the response's status line is malformed"},
      {"HTTP/1.1  200 OK\r\n", "the response's status line is malformed"},
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

TEST_CASE("a folded field is one line with one space, whatever it says, in responses of every piece size") {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{100000}}) {
    CAPTURE(piece);
    const reading a = read(
        "HTTP/1.1 503 No\r\nContent-Type: text/plain; \r\n \t charset=utf-8\r\nRetry-After:\r\n 7\r\nX: a\r\n\tb\r\n "
        "c:d\r\nContent-Length:\r\n\t5 \r\n\r\nhello",
        piece);
    CHECK(a.now == state::whole);
    CHECK(a.response.header("Content-Type") == "text/plain; charset=utf-8");
    CHECK(a.response.header("Retry-After") == "7");
    CHECK(a.response.header("X") == "a b c:d");
    CHECK(a.response.body == "hello");
    CHECK(a.response.headers.size() == 4);
    const reading b = read(
        "HTTP/1.1 200 OK\nConnection: x,\n close\nTransfer-Encoding: \n \n chunked\n\n1\na\n0\nT: r\n s\n \n\n", piece);
    CHECK(b.now == state::whole);
    CHECK(b.response.body == "a");
    CHECK(b.last);
    CHECK(b.response.header("Transfer-Encoding") == "chunked");
    const reading c = read("HTTP/1.1 200 OK\r\nX: a\r\n \r\n\t\r\nContent-Length: 0\r\n\r\n", piece);
    CHECK(c.now == state::whole);
    CHECK(c.response.header("X") == "a");
  }
  std::string folds = "HTTP/1.1 200 OK\r\nX: a\r\n";
  for (int i = 0; i < 20000; ++i) folds += " b\r\n";
  CHECK(read(folds, 4096).why == "the response's head is longer than 64 KiB");
}

TEST_CASE("a chunk size has as many digits as it likes: its value is what counts") {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string size :
       {"2", "02", "000000000000002", "0000000000000002", "00000000000000002", " 2 ", "2  ;a=\"b;c\"", "2;x\t"}) {
    CAPTURE(size);
    const reading r = read(head + size + "\r\nok\r\n" + std::string(100, '0') + "\r\n\r\n", 3);
    CHECK(r.now == state::whole);
    CHECK(r.response.body == "ok");
    CHECK(!r.last);
  }
  CHECK(read(head + std::string(16000, '0') + "2\r\nok\r\n0\r\n\r\n", 4096).response.body == "ok");
  for (const std::string large : {"fffffffffffffffff", "10000000000000000", "0fffffffffffffffff"}) {
    CAPTURE(large);
    CHECK(read(head + large + "\r\nabc", 1).now == state::too_large);
  }
  for (const std::string large : {"fffffffffffffff", "ffffffffffffffff"}) {
    CAPTURE(large);
    const reading r = read(head + large + "\r\nabc", 1);
    CHECK(r.now == state::more);
    CHECK(r.response.body == "abc");
  }
}

TEST_CASE("a length may have leading zeros and may be said more than once, if it is the same") {
  for (const std::string length : {"5", "005", "5, 5", "5,05", "00000000000000000000000005"}) {
    CAPTURE(length);
    CHECK(read("HTTP/1.1 200 OK\r\nContent-Length: " + length + "\r\n\r\nhello", 2).response.body == "hello");
  }
  CHECK(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 2).now == state::whole);
}

TEST_CASE("a body of exactly the limit is whole, however it is framed; chunked beside a length ends the connection") {
  const reading by_length = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 100, false, 5);
  CHECK(by_length.now == state::whole);
  CHECK(by_length.response.body == "hello");
  const reading in_chunks =
      read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 100, false, 5);
  CHECK(in_chunks.now == state::whole);
  CHECK(in_chunks.response.body == "hello");
  CHECK(!in_chunks.last);
  const reading by_end = read("HTTP/1.1 200 OK\r\n\r\nhello", 100, true, 5);
  CHECK(by_end.now == state::whole);
  CHECK(by_end.response.body == "hello");
  for (const char* both :
       {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"}) {
    const reading r = read("HTTP/1.1 200 OK\r\n" + std::string{both} + "\r\n5\r\nhello\r\n0\r\n\r\n", 100);
    CHECK(r.now == state::whole);
    CHECK(r.response.body == "hello");
    CHECK(r.last);
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
