// SPDX-License-Identifier: MIT
#include <again/core/random.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <set>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

static_assert(!std::is_copy_constructible_v<again::random_stream> && !std::is_copy_assignable_v<again::random_stream>);
static_assert(std::is_nothrow_move_constructible_v<again::random_stream>);
static_assert(again::random_stream{1}.draw() < 1);

TEST_CASE("the same seed gives the same stream: SplitMix64") {
  again::random_stream stream{1234567};  // the published vector of the reference implementation
  CHECK(stream.bits() == 6457827717110365317U);
  CHECK(stream.bits() == 3203168211198807973U);
  CHECK(stream.bits() == 9817491932198370423U);
}

TEST_CASE("draws are uniform in [0, 1), and streams of neighbouring seeds are unrelated") {
  again::random_stream a{1};
  again::random_stream b{2};
  std::vector<int> bins(10);
  int agree = 0;
  constexpr int count = 100'000;
  for (int i = 0; i < count; ++i) {
    const double x = a.draw();
    const double y = b.draw();
    REQUIRE((x >= 0 && x < 1));
    ++bins[static_cast<std::size_t>(x * 10)];
    agree += static_cast<int>(x * 10) == static_cast<int>(y * 10);
  }
  for (const int n : bins) CHECK(n == doctest::Approx(count / 10).epsilon(0.05));
  CHECK(agree == doctest::Approx(count / 10).epsilon(0.05));
}

TEST_CASE("a moved-from stream gives other numbers than the stream it was moved to") {
  again::random_stream a{7};
  again::random_stream same{7};
  again::random_stream b{std::move(a)};
  const std::uint64_t next = b.bits();
  CHECK(next == same.bits());
  CHECK(a.bits() != next);
  again::random_stream c{0};
  c = std::move(b);
  CHECK(c.bits() == same.bits());
}

TEST_CASE("no two fresh seeds are equal, not even on different threads") {
  std::vector<std::uint64_t> other(1000);
  std::thread worker{[&] {
    for (auto& seed : other) seed = again::fresh_seed();
  }};
  std::set<std::uint64_t> seeds;
  for (int i = 0; i < 1000; ++i) seeds.insert(again::fresh_seed());
  worker.join();
  seeds.insert(other.begin(), other.end());
  CHECK(seeds.size() == 2000);
}
