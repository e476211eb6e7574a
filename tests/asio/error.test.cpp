// SPDX-License-Identifier: MIT
#include <again/asio/error.hpp>

#include <again/policy/verdict.hpp>

#include "asio_under_test.hpp"

#include <doctest/doctest.h>

#include <string>

using again::disposition;
using again::reach;
namespace error = net::error;

namespace {
again::verdict of(error_code e) { return again::verdict_of(e); }
}  // namespace

TEST_CASE("what a peer or a network did is worth another attempt") {
  for (const error_code e :
       {error_code(error::eof), error_code(error::connection_reset), error_code(error::broken_pipe),
        error_code(error::timed_out), error_code(error::not_connected), error_code(error::shut_down),
        error_code(net::ssl::error::stream_truncated)}) {
    CAPTURE(e.message());
    CHECK(of(e).kind == disposition::transient);
    CHECK(of(e).reach == reach::maybe_sent);
  }
}

TEST_CASE("what ended before a connection was there has sent nothing") {
  for (const error_code e : {error_code(error::connection_refused), error_code(error::host_unreachable),
                             error_code(error::network_unreachable), error_code(error::host_not_found_try_again)}) {
    CAPTURE(e.message());
    CHECK(of(e).kind == disposition::transient);
    CHECK(of(e).reach == reach::not_sent);
  }
}

TEST_CASE("our own shortage is worth another attempt, and is not the peer's") {
  for (const error_code e :
       {error_code(error::no_descriptors), error_code(error::no_buffer_space), error_code(error::no_memory)}) {
    CHECK(of(e).kind == disposition::transient);
    CHECK(of(e).reach == reach::not_sent);
    CHECK(of(e).name == "exhausted");
  }
}

TEST_CASE("what would fail again is permanent") {
  for (const error_code e :
       {error_code(error::host_not_found), error_code(error::invalid_argument), error_code(error::bad_descriptor),
        error_code(error::access_denied), error_code(error::address_family_not_supported),
        error_code(1, error::get_ssl_category())}) {
    CAPTURE(e.message());
    CHECK(of(e).kind == disposition::permanent);
  }
}

TEST_CASE("operation_aborted says nothing of the peer; an unknown code is transient") {
  CHECK(of(error::operation_aborted).kind == disposition::aborted);
  const again::verdict unknown = of(error_code(123456, error::get_misc_category()));
  CHECK(unknown.kind == disposition::transient);
  CHECK(unknown.reach == reach::maybe_sent);
  CHECK(unknown.code == 123456);
  CHECK(unknown.name == "error");
}

TEST_CASE("the value and a word of each error are in the record") {
  CHECK(of(error::connection_refused).name == "refused");
  CHECK(of(error::connection_refused).code == static_cast<int>(error::connection_refused));
  CHECK(of(error::eof).name == "eof");
}
