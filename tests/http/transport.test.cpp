// SPDX-License-Identifier: MIT
#include <again/http/transport.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <type_traits>

using namespace again;
using namespace again::http;

namespace {

struct responds_at_once {
  struct send_type {
    using result_type = send_result;
    bool start(continuation, const context&) noexcept { return true; }
    send_result take() { return response{200}; }
    std::exception_ptr exception() noexcept { return nullptr; }
  };
  send_type send(std::shared_ptr<const outgoing>, int) { return {}; }
};
struct gives_another_type {
  struct send_type : responds_at_once::send_type {
    using result_type = expected<response, std::string>;
    result_type take() { return response{200}; }
  };
  send_type send(std::shared_ptr<const outgoing>, int) { return {}; }
};
struct not_awaitable {
  send_result send(std::shared_ptr<const outgoing>, int) { return response{200}; }
};
struct without_number {
  responds_at_once::send_type send(std::shared_ptr<const outgoing>) { return {}; }
};

static_assert(transport<responds_at_once>);
static_assert(!transport<gives_another_type>);
static_assert(!transport<not_awaitable>);
static_assert(!transport<without_number>);
static_assert(!transport<int>);
static_assert(!std::is_copy_constructible_v<outgoing> && !std::is_aggregate_v<send_failure>);

outgoing with_body(http::body b) {
  return outgoing{origin{scheme::http, "example.com", 80}, request::post("/").body(std::move(b)), {}};
}

}  // namespace

TEST_CASE("every default bound is finite") {
  constexpr send_limits l;
  CHECK(l.connect < forever);
  CHECK(l.idle < forever);
  CHECK(l.total < forever);
  CHECK(l.connect <= l.total);
  CHECK(l.idle <= l.total);
  CHECK(l.max_body == 16U * 1024 * 1024);
}

TEST_CASE("a body of bytes can be opened for every attempt") {
  const outgoing o = with_body("bytes");
  for (int i = 0; i < 3; ++i) CHECK(o.open_body()->bytes() == "bytes");
  CHECK(o.facts().replayable);
}

TEST_CASE("a one-shot body that was given back can be opened by the next attempt, and is replayable until then") {
  const outgoing o = with_body(body::one_shot("once"));
  CHECK(o.facts().replayable);
  auto first = o.open_body();
  REQUIRE(first);
  CHECK(!o.facts().replayable);
  o.give_back(std::move(*first));
  CHECK(o.facts().replayable);
  auto second = o.open_body();
  REQUIRE(second);
  CHECK(second->bytes() == "once");
  CHECK(!o.open_body());
  CHECK(!o.facts().replayable);
}
