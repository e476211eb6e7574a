// SPDX-License-Identifier: MIT
#include <again/httplib/detail/diagnose.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <string>

using namespace again;
using namespace again::http;
using again::http::detail::diagnose;
using again::http::detail::httplib_says;
using again::http::detail::observed;
using again::http::detail::socket_watch;
using namespace std::chrono_literals;

namespace {

struct outcome {
  httplib_says says = httplib_says::other;
  int error = 0;
  bool headers_complete = false;
  socket_watch::report socket{.how_far = reach::maybe_sent};
};

std::string of(const outcome& o) {
  observed seen;
  seen.parsed_here = true;
  seen.socket_error = o.error;
  seen.headers_complete = o.headers_complete;
  const auto d = diagnose(o.says, seen, o.socket, false, 1ms, 5s, 30s);
  return d.success ? "success" : std::string{name(d.kind)} + " " + std::string{name(d.reach)};
}

}  // namespace

TEST_CASE("how reading or writing failed decides the kind, and not the clock") {
  CHECK(of({.error = ENOMEM}) == "shortage maybe_sent");
  CHECK(of({.error = ENOBUFS}) == "shortage maybe_sent");
  CHECK(of({.says = httplib_says::write, .error = ENOBUFS}) == "shortage maybe_sent");
  CHECK(of({.error = ENOMEM, .headers_complete = true}) == "shortage answered");
  CHECK(of({.error = ECONNRESET}) == "reset maybe_sent");
  CHECK(of({.error = ECONNRESET, .headers_complete = true}) == "truncated answered");
  CHECK(of({.error = ETIMEDOUT}) == "timeout maybe_sent");
  CHECK(of({.error = ETIMEDOUT, .headers_complete = true}) == "timeout answered");
  CHECK(of({.error = EHOSTUNREACH}) == "reset maybe_sent");
  CHECK(of({.says = httplib_says::write, .error = EPIPE}) == "closed maybe_sent");
  CHECK(of({}) == "closed maybe_sent");
}

TEST_CASE("why there is no connection decides whose fault it is") {
  const auto none = [](int error, httplib_says says = httplib_says::no_connection) {
    return of({.says = says, .socket = {.connect_error = error}});
  };
  for (const int ours : {EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL}) {
    CAPTURE(ours);
    CHECK(none(ours) == "shortage not_sent");
  }
  for (const int theirs : {ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, EACCES, 0}) {
    CAPTURE(theirs);
    CHECK(none(theirs) == "refused not_sent");
  }
  CHECK(none(ETIMEDOUT) == "connect_timeout not_sent");
  CHECK(none(0, httplib_says::connect_timeout) == "connect_timeout not_sent");
}
