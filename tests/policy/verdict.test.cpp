// SPDX-License-Identifier: MIT
#include <again/policy/verdict.hpp>

#include <doctest/doctest.h>

#include <string>

namespace theirs {
struct silent {};
struct speaking {
  again::verdict verdict() const { return {.kind = again::disposition::permanent, .code = 404}; }
};
struct foreign {};
again::verdict again_verdict(const foreign&) { return {.kind = again::disposition::forbidden}; }
struct both {
  again::verdict verdict() const { return {.code = 1}; }
};
again::verdict again_verdict(const both&) { return {.code = 2}; }
struct other_verdict {
  int verdict() const { return 3; }
};
struct response {
  int status;
};
int again_code(const response& r) { return r.status; }
}  // namespace theirs

TEST_CASE("the verdict of an error is its member's, else its namespace's, else transient and maybe sent") {
  CHECK(again::verdict_of(theirs::speaking{}).code == 404);
  CHECK(again::verdict_of(theirs::foreign{}).kind == again::disposition::forbidden);
  CHECK(again::verdict_of(theirs::both{}).code == 1);
  for (const again::verdict& v :
       {again::verdict_of(theirs::silent{}), again::verdict_of(3), again::verdict_of(theirs::other_verdict{})}) {
    CHECK(v.kind == again::disposition::transient);
    CHECK(v.reach == again::reach::maybe_sent);
    CHECK(v.repeatable);
    CHECK(v.server_delay < again::duration::zero());
  }
}

TEST_CASE("the code of a value is what its namespace says, else 0") {
  CHECK(again::code_of(theirs::response{204}) == 204);
  CHECK(again::code_of(std::string{"text"}) == 0);
}

TEST_CASE("an error that our own timeout made is transient where the operation is safe to start again") {
  using again::disposition;
  const auto cut = [](again::verdict v) { return again::cut_off(v).kind; };
  for (const disposition made : {disposition::aborted, disposition::permanent}) {
    CHECK(cut({.kind = made}) == disposition::transient);
    CHECK(cut({.kind = made, .repeatable = false}) == disposition::not_replayable);
  }
  CHECK(cut({.kind = disposition::permanent, .judges_timeouts = true}) == disposition::permanent);
  CHECK(cut({.kind = disposition::aborted, .judges_timeouts = true}) == disposition::transient);
  for (const disposition said : {disposition::transient, disposition::not_replayable, disposition::forbidden})
    CHECK(cut({.kind = said}) == said);
}

TEST_CASE("reach is ordered from proven unsent to answered, and names are the enumerators'") {
  CHECK(again::reach::not_sent < again::reach::maybe_sent);
  CHECK(again::reach::maybe_sent < again::reach::answered);
  CHECK(again::name(again::reach::maybe_sent) == "maybe_sent");
  CHECK(again::name(again::disposition::not_replayable) == "not_replayable");
  CHECK(again::name(static_cast<again::disposition>(99)) == "unknown");
}
