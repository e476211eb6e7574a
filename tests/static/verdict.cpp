// SPDX-License-Identifier: MIT
#include <again/policy/verdict.hpp>

namespace theirs {

struct silent {};
struct by_member {
  constexpr again::verdict verdict() const { return {.kind = again::disposition::permanent, .code = 1}; }
};
struct by_function {};
constexpr again::verdict again_verdict(const by_function&) {
  return {.kind = again::disposition::not_replayable, .code = 2};
}
struct by_both {
  constexpr again::verdict verdict() const { return {.code = 3}; }
};
constexpr again::verdict again_verdict(const by_both&) { return {.code = 4}; }
struct wrong_type {
  constexpr int verdict() const { return 5; }
};
struct response {
  int status;
};
constexpr int again_code(const response& a) { return a.status; }

}  // namespace theirs

static_assert(again::verdict_of(theirs::silent{}) == again::verdict{});
static_assert(again::verdict_of(theirs::by_member{}).kind == again::disposition::permanent);
static_assert(again::verdict_of(theirs::by_function{}).kind == again::disposition::not_replayable);
static_assert(again::verdict_of(theirs::by_both{}).code == 3, "the member comes first");
static_assert(again::verdict_of(theirs::wrong_type{}) == again::verdict{}, "a member of another meaning is left alone");
static_assert(again::verdict{}.reach == again::reach::maybe_sent, "an error that says nothing may have been sent");

static_assert(again::code_of(theirs::response{204}) == 204);
static_assert(again::code_of(theirs::silent{}) == 0);

static_assert(again::reach::not_sent < again::reach::maybe_sent && again::reach::maybe_sent < again::reach::answered);
