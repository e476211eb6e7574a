// SPDX-License-Identifier: MIT
#include <again/http/rules.hpp>

#include <doctest/doctest.h>

#include <chrono>

using namespace again::http;
using again::disposition;
using again::reach;
using again::verdict;
using namespace std::chrono_literals;

namespace {

constexpr request_facts get{};
constexpr request_facts put{.method = method::put};
constexpr request_facts post{.method = method::post};
constexpr request_facts keyed_post{.method = method::post, .keyed = true};
constexpr request_facts harmless_post{.method = method::post, .idempotent = true};
constexpr request_facts harmful_get{.method = method::get, .idempotent = false};

constexpr outcome response(int status, std::optional<again::duration> wait = std::nullopt) {
  return {.status = status, .retry_after = wait};
}
constexpr disposition of(const rules& r, const request_facts& f, const outcome& o) { return judge(r, f, o).kind; }
constexpr disposition of(const request_facts& f, const outcome& o) { return of(rules{}, f, o); }

}  // namespace

static_assert(rules{} == rules::rfc9110 && rules{} != rules::none);
static_assert(of(post, {.kind = error_kind::reset, .reach = reach::maybe_sent}) == disposition::not_replayable,
              "a judgment can be a constant");

TEST_CASE("where no byte was sent, every method may be sent again") {
  for (const error_kind kind :
       {error_kind::resolve, error_kind::refused, error_kind::connect_timeout, error_kind::tls_handshake,
        error_kind::reset, error_kind::closed, error_kind::timeout, error_kind::shortage}) {
    CAPTURE(name(kind));
    const outcome o{.kind = kind, .reach = reach::not_sent};
    for (const request_facts& f : {get, put, post, keyed_post, harmless_post, harmful_get})
      CHECK(of(f, o) == disposition::transient);
  }
}

TEST_CASE(
    "where the request was sent or answered, it is repeated only if method, key or idempotent() makes it harmless") {
  for (const error_kind kind :
       {error_kind::reset, error_kind::closed, error_kind::timeout, error_kind::truncated, error_kind::shortage}) {
    for (const reach how_far : {reach::maybe_sent, reach::answered}) {
      CAPTURE(name(kind));
      const outcome o{.kind = kind, .reach = how_far};
      for (const request_facts& f : {get, put, keyed_post, harmless_post}) CHECK(of(f, o) == disposition::transient);
      for (const request_facts& f : {post, harmful_get}) CHECK(of(f, o) == disposition::not_replayable);
    }
  }
  for (const int status : {408, 425, 429, 500, 502, 503, 504}) {
    CAPTURE(status);
    for (const request_facts& f : {get, put, keyed_post, harmless_post})
      CHECK(of(f, response(status)) == disposition::transient);
    for (const request_facts& f : {post, harmful_get}) CHECK(of(f, response(status)) == disposition::not_replayable);
  }
}

TEST_CASE("an outcome that another attempt would not change is permanent, safe or not") {
  for (const error_kind kind :
       {error_kind::tls_verify, error_kind::protocol, error_kind::too_large, error_kind::redirects,
        error_kind::invalid_request, error_kind::denied, error_kind::unsupported, error_kind::overloaded}) {
    CAPTURE(name(kind));
    for (const request_facts& f : {get, post})
      CHECK(of(f, {.kind = kind, .reach = reach::not_sent}) == disposition::permanent);
  }
  for (const int status : {100, 400, 401, 403, 404, 409, 413, 421, 422, 471, 501, 505, 511, 0, -1}) {
    CAPTURE(status);
    for (const request_facts& f : {get, post}) CHECK(of(f, response(status)) == disposition::permanent);
  }
}

TEST_CASE("an unknown 5xx is worth what a 500 is, and so is a status from 600 on (RFC 9110 15)") {
  for (const int status : {509, 520, 521, 522, 524, 529, 530, 598, 599, 600, 777, 999}) {
    CAPTURE(status);
    CHECK(of(get, response(status)) == disposition::transient);
    CHECK(of(post, response(status)) == disposition::not_replayable);
    CHECK(judge(rules{}, get, response(status)).code == status);
    CHECK_FALSE(accepted(rules{}, {}, status));
    CHECK(of(rules{.statuses = {503}}, get, response(status)) == disposition::permanent);
    CHECK(of(rules{.unknown_as_class = false}, get, response(status)) == disposition::permanent);
    CHECK(of(rules{.statuses = {status}, .unknown_as_class = false}, get, response(status)) == disposition::transient);
    for (const rules& other : {rules::curl, rules::got, rules::ky})  // they take their lists as they are
      CHECK(of(other, get, response(status)) ==
            (other.statuses.contains(status) ? disposition::transient : disposition::permanent));
  }
}

TEST_CASE("a 409 to a key whose earlier attempt got no response is worth another attempt, and is named outstanding") {
  request_facts key = keyed_post;
  key.outstanding = true;
  const verdict v = judge(rules{}, key, response(409, 2s));
  CHECK(v.kind == disposition::transient);
  CHECK(v.name == "outstanding");
  CHECK(v.code == 409);
  CHECK(v.server_delay == 2s);
  CHECK(judge(rules{}, keyed_post, response(409)).kind ==
        disposition::permanent);  // the first attempt: a real conflict
  CHECK(judge(rules{}, keyed_post, response(409)).name == "status");
  for (const int status : {400, 404, 412, 422, 423}) CHECK(of(key, response(status)) == disposition::permanent);
  request_facts no_key = post;
  no_key.outstanding = true;
  CHECK(of(no_key, response(409)) == disposition::permanent);
  request_facts spent = key;
  spent.replayable = false;
  CHECK(of(spent, response(409)) == disposition::not_replayable);
  CHECK(judge(rules::curl, key, response(409)).kind == disposition::permanent);
  CHECK(judge(rules{.outstanding_key_statuses = {}}, key, response(409)).kind == disposition::permanent);
}

TEST_CASE(
    "a body that cannot be sent again makes a transient outcome not replayable and leaves a permanent one permanent") {
  constexpr request_facts spent{.method = method::put, .replayable = false};
  CHECK(of(spent, response(503)) == disposition::not_replayable);
  CHECK(of(spent, {.kind = error_kind::refused, .reach = reach::not_sent}) == disposition::not_replayable);
  CHECK(of(spent, response(404)) == disposition::permanent);
  CHECK(of(spent, {.kind = error_kind::cancelled, .reach = reach::maybe_sent}) == disposition::aborted);
}

TEST_CASE("our own stop is aborted, whatever the rules list") {
  rules r;
  for (const error_kind kind : all_error_kinds) r.errors.insert(kind);
  CHECK(of(r, get, {.kind = error_kind::cancelled, .reach = reach::not_sent}) == disposition::aborted);
  CHECK(of(r, get, {.kind = error_kind::deadline, .reach = reach::maybe_sent}) == disposition::aborted);
  CHECK(of(r, get, {.kind = error_kind::invalid_request, .reach = reach::not_sent}) == disposition::permanent);
  CHECK(of(r, get, {.kind = error_kind::denied, .reach = reach::not_sent}) == disposition::permanent);
  CHECK(of(r, get, {.kind = error_kind::unsupported, .reach = reach::not_sent}) == disposition::permanent);
  CHECK(of(r, get, {.kind = error_kind::overloaded, .reach = reach::not_sent}) == disposition::transient);
  CHECK(of(r, get, {.kind = error_kind::tls_verify, .reach = reach::not_sent}) == disposition::transient);
}

TEST_CASE("the verdict of every outcome says whether the request is safe to send again") {
  for (const error_kind kind : {error_kind::deadline, error_kind::cancelled, error_kind::timeout, error_kind::status}) {
    CAPTURE(name(kind));
    const outcome sent{.kind = kind, .reach = reach::maybe_sent, .status = 404};
    for (const request_facts& f : {get, put, keyed_post, harmless_post}) CHECK(judge(rules{}, f, sent).repeatable);
    for (const request_facts& f : {post, harmful_get}) CHECK_FALSE(judge(rules{}, f, sent).repeatable);
    CHECK(judge(rules{}, post, {.kind = kind, .reach = reach::not_sent}).repeatable);
    CHECK(judge(rules::curl, post, sent).repeatable);
    CHECK_FALSE(judge(rules{}, {.method = method::put, .replayable = false}, sent).repeatable);
  }
}

TEST_CASE("the verdict carries reach, status and the kind's name") {
  CHECK(judge(rules{}, get, response(404)) == verdict{.kind = disposition::permanent,
                                                      .reach = reach::answered,
                                                      .judges_timeouts = true,
                                                      .code = 404,
                                                      .name = "status"});
  CHECK(judge(rules{}, get, {.kind = error_kind::truncated, .reach = reach::answered, .status = 200}) ==
        verdict{.kind = disposition::transient,
                .reach = reach::answered,
                .judges_timeouts = true,
                .code = 200,
                .name = "truncated"});
}

TEST_CASE("Retry-After is obeyed on the statuses that the rules name, up to a bound") {
  for (const int status : {408, 425, 429, 500, 502, 503, 504, 529, 999}) {
    CAPTURE(status);
    CHECK(judge(rules{}, get, response(status, 2s)).kind == disposition::transient);
    CHECK(judge(rules{}, get, response(status, 2s)).server_delay == 2s);
  }
  const outcome cut_short{.kind = error_kind::truncated, .status = 200, .retry_after = 2s};
  CHECK(judge(rules{}, get, cut_short).server_delay == 2s);
  for (const int status : {403, 409, 413, 501}) CHECK(of(get, response(status, 2s)) == disposition::permanent);
  CHECK(judge(rules{.respect_retry_after = {503}}, get, response(500, 2s)).server_delay < 0s);
  CHECK(judge(rules{}, get, response(503)).server_delay < 0s);
  CHECK(judge(rules{}, get, response(503, 0s)).server_delay == 0s);

  const verdict at_most = judge(rules{}, get, response(503, 1h));
  CHECK(at_most.server_delay == 1h);
  CHECK_FALSE(at_most.server_delay_too_long);
  const verdict over = judge(rules{}, get, response(503, 1h + 1ns));
  CHECK(over.kind == disposition::transient);
  CHECK(over.server_delay_too_long);
  CHECK(over.server_delay == 1h + 1ns);
  rules capped;
  capped.over_max = again::over_max::cap;
  const verdict cut = judge(capped, get, response(503, again::forever));
  CHECK(cut.server_delay == 1h);
  CHECK_FALSE(cut.server_delay_too_long);
  rules unbounded;
  unbounded.max_retry_after = again::forever;
  CHECK_FALSE(judge(unbounded, get, response(503, again::forever)).server_delay_too_long);
}

TEST_CASE("a status of a refusal before processing is repeated for every method where the rules say so") {
  rules r;
  r.any_method_statuses = {429, 421};
  CHECK(of(r, post, response(429)) == disposition::transient);
  CHECK(of(r, harmful_get, response(429)) == disposition::transient);
  CHECK(of(r, get, response(421)) == disposition::transient);
  CHECK(of(r, post, response(503)) == disposition::not_replayable);
  constexpr request_facts spent{.method = method::post, .replayable = false};
  CHECK(of(r, spent, response(429)) == disposition::not_replayable);
}

TEST_CASE("a Retry-After may be needed, may suffice, or must be 0") {
  rules r;
  r.statuses = {413, 500};
  r.needs_retry_after = {413};
  CHECK(of(r, get, response(413)) == disposition::permanent);
  CHECK(of(r, get, response(413, 1s)) == disposition::transient);
  CHECK(of(r, get, response(500)) == disposition::transient);

  r = rules{};
  r.statuses = {};
  r.respect_retry_after = {503};
  r.retry_after_forces_retry = true;
  CHECK(of(r, get, response(503)) == disposition::permanent);
  CHECK(of(r, get, response(503, 1s)) == disposition::transient);
  CHECK(of(r, get, response(418, 1s)) == disposition::permanent);
  CHECK(of(r, post, response(503, 1s)) == disposition::not_replayable);

  r = rules{};
  r.zero_retry_after_statuses = {503};
  CHECK(of(r, get, response(503, 0s)) == disposition::transient);
  CHECK(of(r, get, response(503, 1s)) == disposition::permanent);
  CHECK(of(r, get, response(503)) == disposition::permanent);
}

TEST_CASE("where the rules obey X-Should-Retry, it outranks the status but not safety") {
  const outcome no{.status = 503, .retry_after = 1s, .should_retry = false}, yes{.status = 409, .should_retry = true};
  CHECK(of(get, no) == disposition::transient);
  CHECK(of(get, yes) == disposition::permanent);
  rules r;
  r.should_retry_headers = true;
  CHECK(of(r, get, no) == disposition::forbidden);
  CHECK(of(r, post, no) == disposition::forbidden);
  CHECK(of(r, get, yes) == disposition::transient);
  CHECK(of(r, post, yes) == disposition::not_replayable);
  CHECK(of(r, get, response(503)) == disposition::transient);
  CHECK(of(r, get, response(404)) == disposition::permanent);
}

TEST_CASE("a response cut in its headers can be worth another attempt where one cut in its body is not") {
  rules r;
  r.errors.erase(error_kind::truncated);
  r.truncated_headers = true;
  CHECK(of(r, get, {.kind = error_kind::truncated, .reach = reach::answered}) == disposition::transient);
  CHECK(of(r, get, {.kind = error_kind::truncated, .reach = reach::answered, .status = 200}) == disposition::permanent);
}

TEST_CASE("a method that only the rules exclude is permanent, because a repetition would be harmless") {
  rules r;
  r.methods = {};
  r.not_sent_any_method = false;
  CHECK(of(r, get, response(503)) == disposition::permanent);
  CHECK(of(r, post, response(503)) == disposition::not_replayable);
  CHECK(of(r, post, {.kind = error_kind::refused, .reach = reach::not_sent}) == disposition::permanent);
  CHECK(of(r, keyed_post, response(503)) == disposition::transient);
  r.methods = method_set::any();
  CHECK(of(r, post, response(503)) == disposition::transient);
  CHECK(of(r, harmful_get, response(503)) == disposition::not_replayable);
}

TEST_CASE("the rules may make fewer or more statuses a value than 2xx and 3xx") {
  const rules strict{.successes = status_set::range(200, 299)};
  for (const int status : {200, 202, 299}) CHECK(accepted(strict, {}, status));
  for (const int status : {300, 302, 304, 308, 399}) CHECK_FALSE(accepted(strict, {}, status));
  CHECK(accepted(strict, {302}, 302));
  CHECK_FALSE(accepted(rules{.successes = status_set::range(200, 599)}, {}, 503));  // worth another attempt
}

TEST_CASE("a status is a value where the request accepts it, and 2xx and 3xx unless the rules retry them") {
  for (const int status : {200, 204, 299, 301, 304, 399}) CHECK(accepted(rules{}, {}, status));
  for (const int status : {0, 100, 103, 199, 400, 404, 503, 599}) CHECK_FALSE(accepted(rules{}, {}, status));
  CHECK(accepted(rules{}, {404, 503}, 404));
  CHECK(accepted(rules{}, {404, 503}, 503));
  rules polling;
  polling.statuses.insert(202);
  CHECK_FALSE(accepted(polling, {}, 202));
  CHECK(accepted(polling, {202}, 202));
}
