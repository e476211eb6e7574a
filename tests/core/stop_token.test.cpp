// SPDX-License-Identifier: MIT
#include <again/core/stop_token.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <concepts>
#include <cstring>
#include <functional>
#include <new>
#include <optional>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using again::inplace_stop_callback;
using again::inplace_stop_source;
using again::inplace_stop_token;

static_assert(std::is_trivially_copyable_v<inplace_stop_token>);
static_assert(!std::is_move_constructible_v<inplace_stop_source>);

namespace standard {

// [stoptoken.concepts] of C++26, word for word.
template <template <class> class> struct check_type_alias_exists;
template <class Token, class CallbackFn> using stop_callback_for_t = typename Token::template callback_type<CallbackFn>;
template <class CallbackFn, class Token, class Initializer = CallbackFn>
concept stoppable_callback_for =
    std::invocable<CallbackFn> && std::constructible_from<CallbackFn, Initializer> && requires {
      typename stop_callback_for_t<Token, CallbackFn>;
    } && std::constructible_from<stop_callback_for_t<Token, CallbackFn>, const Token&, Initializer>;
template <class Token>
concept stoppable_token = requires(const Token tok) {
  typename check_type_alias_exists<Token::template callback_type>;
  { tok.stop_requested() } noexcept -> std::same_as<bool>;
  { tok.stop_possible() } noexcept -> std::same_as<bool>;
  { Token(tok) } noexcept;
} && std::copyable<Token> && std::equality_comparable<Token>;
template <class Source>
concept stoppable_source = requires(Source& src, const Source csrc) {
  { csrc.get_token() } -> stoppable_token;
  { csrc.stop_possible() } noexcept -> std::same_as<bool>;
  { csrc.stop_requested() } noexcept -> std::same_as<bool>;
  { src.request_stop() } -> std::same_as<bool>;
};

}  // namespace standard

struct sets_a_flag {
  bool* flag;
  void operator()() const noexcept { *flag = true; }
};
static_assert(standard::stoppable_token<inplace_stop_token>);
static_assert(standard::stoppable_source<inplace_stop_source>);
static_assert(standard::stoppable_callback_for<sets_a_flag, inplace_stop_token>);
static_assert(standard::stoppable_callback_for<sets_a_flag, inplace_stop_token, const sets_a_flag&>);
static_assert(!standard::stoppable_callback_for<int, inplace_stop_token>);
static_assert(
    std::is_same_v<standard::stop_callback_for_t<inplace_stop_token, sets_a_flag>, inplace_stop_callback<sets_a_flag>>);
static_assert(std::is_same_v<inplace_stop_callback<sets_a_flag>::callback_type, sets_a_flag>);
static_assert(std::is_nothrow_constructible_v<inplace_stop_callback<sets_a_flag>, inplace_stop_token, sets_a_flag>);
static_assert(std::is_nothrow_swappable_v<inplace_stop_token>);
static_assert(noexcept(inplace_stop_token{} == inplace_stop_token{}));
// As the standard has it: a callback is not made of a braced list by accident.
static_assert(!std::is_convertible_v<inplace_stop_token, inplace_stop_callback<sets_a_flag>>);

TEST_CASE("a callback is made by the alias of the token, as senders do") {
  inplace_stop_source source;
  bool stopped = false;
  {
    const standard::stop_callback_for_t<inplace_stop_token, sets_a_flag> on_stop(source.get_token(),
                                                                                 sets_a_flag{&stopped});
    CHECK(source.stop_possible());
    source.request_stop();
  }
  CHECK(stopped);
  inplace_stop_token mine = source.get_token(), none;
  mine.swap(none);
  CHECK_FALSE(mine.stop_possible());
  CHECK(none == source.get_token());
}

TEST_CASE("a token reports a stop of its source; a token without a source never stops") {
  inplace_stop_source source;
  const inplace_stop_token token = source.get_token();
  CHECK(token.stop_possible());
  CHECK_FALSE(token.stop_requested());
  CHECK(source.request_stop());
  CHECK(token.stop_requested());
  CHECK_FALSE(source.request_stop());
  const inplace_stop_token none;
  CHECK_FALSE(none.stop_possible());
  CHECK_FALSE(none.stop_requested());
  CHECK_FALSE(none == token);
  CHECK(token == source.get_token());
}

TEST_CASE("a callback runs once, inside the request; one registered later runs in its constructor") {
  inplace_stop_source source;
  int calls = 0;
  inplace_stop_callback before{source.get_token(), [&] { ++calls; }};
  CHECK(calls == 0);
  source.request_stop();
  CHECK(calls == 1);
  source.request_stop();
  CHECK(calls == 1);
  inplace_stop_callback after{source.get_token(), [&] { calls += 10; }};
  CHECK(calls == 11);
  inplace_stop_callback never{inplace_stop_token{}, [&] { calls += 100; }};
  CHECK(calls == 11);
}

TEST_CASE("a destroyed callback is not called, wherever it was in the list") {
  for (int gone = 0; gone < 3; ++gone) {
    inplace_stop_source source;
    int calls = 0;
    auto add = [&](int which) { calls += 1 << which; };
    std::optional<inplace_stop_callback<std::function<void()>>> callbacks[3];
    for (int i = 0; i < 3; ++i) callbacks[i].emplace(source.get_token(), [&add, i] { add(i); });
    callbacks[gone].reset();
    source.request_stop();
    CHECK(calls == 7 - (1 << gone));
  }
}

TEST_CASE("a callback may destroy itself, and others that have not yet run") {
  inplace_stop_source source;
  using callback = inplace_stop_callback<std::function<void()>>;
  std::optional<callback> a;
  std::optional<callback> b;
  int calls = 0;
  const auto once = [&] {
    ++calls;
    a.reset();
    b.reset();
  };
  a.emplace(source.get_token(), once);
  b.emplace(source.get_token(), once);
  source.request_stop();
  CHECK(calls == 1);
  CHECK_FALSE(a.has_value());
  CHECK_FALSE(b.has_value());
}

TEST_CASE("a callback may register another, which runs at once") {
  inplace_stop_source source;
  int calls = 0;
  using callback = inplace_stop_callback<std::function<void()>>;
  std::optional<callback> inner;
  callback outer{source.get_token(), [&] { inner.emplace(source.get_token(), [&] { ++calls; }); }};
  source.request_stop();
  CHECK(calls == 1);
}

TEST_CASE("a callback's destructor waits until it has run on the other thread") {
  inplace_stop_source source;
  std::atomic<bool> inside{false};
  std::atomic<bool> released{false};
  int written = 0;  // not atomic: the destructor orders the accesses
  std::optional<inplace_stop_callback<std::function<void()>>> callback;
  callback.emplace(source.get_token(), [&] {
    inside = true;
    while (!released) std::this_thread::yield();
    written = 1;
  });
  std::thread stopper{[&] { source.request_stop(); }};
  while (!inside) std::this_thread::yield();
  std::thread releaser{[&] { released = true; }};
  callback.reset();
  CHECK(written == 1);
  stopper.join();
  releaser.join();
}

TEST_CASE("registering, unregistering and stopping may happen on many threads at once") {
  for (int round = 0; round < 200; ++round) {
    inplace_stop_source source;
    std::atomic<int> calls{0};
    std::atomic<int> first{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          int mine = 0;
          {
            inplace_stop_callback callback{source.get_token(), [&] {
                                             ++mine;
                                             ++calls;
                                           }};
          }
          if (mine > 1) calls = 1'000'000;
        }
      });
    }
    for (int t = 0; t < 2; ++t) threads.emplace_back([&] { first += source.request_stop(); });
    for (auto& t : threads) t.join();
    REQUIRE(first == 1);
    REQUIRE(calls <= 150);
  }
}

namespace {

// A callback in memory that is filled with a pattern when the callback is destroyed, so that a later write is detected.
class placed_callback {
 public:
  using type = inplace_stop_callback<std::function<void()>>;
  template <class F> placed_callback(inplace_stop_token token, F f) {
    ::new (static_cast<void*>(memory_)) type{token, std::function<void()>{std::move(f)}};
  }
  placed_callback(const placed_callback&) = delete;
  placed_callback& operator=(const placed_callback&) = delete;
  ~placed_callback() {
    if (there_) destroy();
  }
  void destroy() {
    there_ = false;
    std::launder(reinterpret_cast<type*>(memory_))->~type();
    std::memset(memory_, pattern, sizeof memory_);
  }
  bool untouched_since() const {
    for (const unsigned char byte : memory_) {
      if (byte != pattern) return false;
    }
    return !there_;
  }

 private:
  static constexpr unsigned char pattern = 0xa5;
  alignas(type) unsigned char memory_[sizeof(type)];
  bool there_ = true;
};

}  // namespace

TEST_CASE("a callback that destroys itself is not written to afterwards, and the next ones still run") {
  inplace_stop_source source;
  // Callbacks run from the latest to the earliest.
  std::optional<inplace_stop_callback<std::function<void()>>> after;
  after.emplace(source.get_token(), [] {});
  std::optional<placed_callback> self;
  int calls = 0;
  self.emplace(source.get_token(), [&] {
    int& counted = calls;  // the closure is destroyed with the callback
    self->destroy();
    ++counted;
  });
  source.request_stop();
  CHECK(calls == 1);
  CHECK(self->untouched_since());
  std::thread elsewhere{[&] { after.reset(); }};  // would wait until the callback has run
  elsewhere.join();
}

TEST_CASE("a callback may destroy another that has run, without waiting for ever") {
  inplace_stop_source source;
  std::optional<placed_callback> ran;
  bool first = false;
  std::optional<inplace_stop_callback<std::function<void()>>> destroyer;
  destroyer.emplace(source.get_token(), [&] {
    REQUIRE(first);
    ran->destroy();
  });
  ran.emplace(source.get_token(), [&] { first = true; });
  source.request_stop();
  CHECK(ran->untouched_since());
  std::thread elsewhere{[&] { destroyer.reset(); }};
  elsewhere.join();
}

TEST_CASE("a callback that destroys the enclosing one, of another source, is not written to afterwards") {
  inplace_stop_source outer;
  inplace_stop_source inner;
  std::optional<placed_callback> around;
  std::optional<inplace_stop_callback<std::function<void()>>> within;
  within.emplace(inner.get_token(), [&] { around->destroy(); });
  around.emplace(outer.get_token(), [&inner] {
    inplace_stop_source& next = inner;  // the closure is destroyed in there
    next.request_stop();
  });
  outer.request_stop();
  CHECK(around->untouched_since());
  std::thread elsewhere{[&] { within.reset(); }};
  elsewhere.join();
}

#if defined(__cpp_lib_jthread)
TEST_CASE("a std::stop_token is followed by one line") {
  std::stop_source theirs;
  inplace_stop_source ours;
  std::stop_callback follow{theirs.get_token(), [&] { ours.request_stop(); }};
  theirs.request_stop();
  CHECK(ours.stop_requested());
}
#endif
