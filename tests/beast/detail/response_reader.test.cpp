// SPDX-License-Identifier: MIT
#include <again/beast/detail/response_reader.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

using again::beast::detail::response_reader;
using state = response_reader::state;

namespace {

/// "200 body" of a whole response, else what is wrong with it.
std::string read(std::string_view bytes, std::size_t piece, std::uint64_t most = 100, bool bodyless = false) {
  response_reader r{most, bodyless};
  while (!bytes.empty() && r.feed(bytes.substr(0, piece)) == state::more)
    bytes.remove_prefix(std::min(piece, bytes.size()));
  switch (r.end()) {
    case state::more: return r.has_head() ? "cut in the body" : r.begun() ? "cut in the head" : "nothing";
    case state::malformed: return std::string{"malformed: "} + r.reason();
    case state::too_large: return "too large: " + r.take().body;
    default: break;
  }
  const bool last = r.last();
  const auto got = r.take();
  return std::to_string(got.status) + " " + got.body + (last ? ", last" : "");
}

}  // namespace

TEST_CASE("a response is the same in one piece and byte by byte") {
  const struct {
    std::string_view bytes, result;
  } rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200 hi"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", "cut in the body"},
      {"HTTP/1.1 200 OK\r\n\r\nto the end", "200 to the end, last"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nin\r\n03;x=y\r\none\r\n0\r\nTrailer: t\r\n\r\n",
       "200 inone"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200 "},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", "200 "},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n0\r\n0\r\n\r\n", "200 0"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA", "cut in the body"},
      {"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "204 "},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n", "304 "},
      {"HTTP/1.1 200 OK\r\nContent-Le", "cut in the head"},
      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "200 x, last"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "200 x, last"},
      {"SSH-2.0\r\n", "malformed: the response is not HTTP/1.1"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.bytes);
    for (const std::size_t piece : {row.bytes.size(), std::size_t{1}, std::size_t{3}, std::size_t{4}}) {
      CAPTURE(piece);
      CHECK(read(row.bytes, piece) == row.result);
    }
  }
}

TEST_CASE("a body past its limit is too large, with the part that fits") {
  constexpr std::string_view chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
  for (const std::size_t piece : {chunked.size(), std::size_t{1}}) {
    CHECK(read(chunked, piece, 6) == "200 abcdef");
    CHECK(read(chunked, piece, 4) == "too large: abcd");
    CHECK(read("HTTP/1.1 200 OK\r\n\r\nabcdef", piece, 4) == "too large: abcd");
    CHECK(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", piece, 4) == "too large: ");
  }
}

TEST_CASE("the response to a HEAD has no body, whatever it says, and what follows is not a part of it") {
  constexpr std::string_view head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  CHECK(read(head, head.size(), 100, true) == "200 ");
  CHECK(read(std::string{head} + "extra", 1000, 100, true) == "200 , last");
  CHECK(read("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx and more", 1000) == "200 x, last");
}
