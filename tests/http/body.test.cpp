// SPDX-License-Identifier: MIT
#include <again/http/body.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

using again::http::body;
using again::http::chunk_source;

namespace {

/// Reads to the end, `step` bytes at a time. An error's sentence comes after "error: ".
std::string drain(body::reader& r, std::size_t step = 3) {
  std::string out;
  std::string buffer(step, '\0');
  while (true) {
    const auto n = r.read(buffer);
    if (!n) return out + "error: " + n.error();
    if (*n == 0) return out;
    out.append(buffer, 0, *n);
  }
}

std::string once_through(const body& b) {
  auto r = b.open();
  return r ? drain(*r) : "refused: " + r.error().reason();
}

/// Gives `text` in pieces of two, and says that it will be `announced` bytes.
class pieces final : public chunk_source {
 public:
  pieces(std::string text, std::optional<std::uint64_t> announced) : text_{std::move(text)}, announced_{announced} {}
  again::expected<std::size_t, std::string> read(std::span<char> into) override {
    const std::size_t n = std::min({into.size(), text_.size() - at_, std::size_t{2}});
    std::copy_n(text_.data() + at_, n, into.data());
    at_ += n;
    return n;
  }
  std::optional<std::uint64_t> size() const override { return announced_; }

 private:
  std::string text_;
  std::size_t at_ = 0;
  std::optional<std::uint64_t> announced_;
};

class failing final : public chunk_source {
 public:
  again::expected<std::size_t, std::string> read(std::span<char>) override { throw std::runtime_error{"disk gone"}; }
};

struct sizeless final : chunk_source {
  again::expected<std::size_t, std::string> read(std::span<char>) override { return std::size_t{0}; }
  std::optional<std::uint64_t> size() const override { throw 42; }
};

struct temporary_file {
  std::string path = (std::filesystem::temp_directory_path() / ("again-body-" + std::to_string(::getpid()))).string();
  explicit temporary_file(const std::string& text) { write(text); }
  ~temporary_file() { std::remove(path.c_str()); }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;
  void write(const std::string& text) const { std::ofstream{path, std::ios::binary | std::ios::trunc} << text; }
};

}  // namespace

TEST_CASE("a request without a body is not a request with an empty one") {
  CHECK(body{}.absent());
  CHECK(body{}.replayable());
  CHECK(once_through(body{}).empty());
  const body empty{""};
  CHECK_FALSE(empty.absent());
  CHECK(empty.open()->size() == 0);
}

TEST_CASE("bytes are the same on every attempt and lie in memory") {
  const body b = "hello world";
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto r = b.open();
    REQUIRE(r);
    CHECK(r->size() == 11);
    CHECK(r->bytes() == "hello world");
    CHECK(drain(*r) == "hello world");
    CHECK(r->read({}) == 0);
    CHECK(b.replayable());
  }
  CHECK(b.bytes() == "hello world");
  CHECK(body{""}.bytes() == "");
  CHECK_FALSE(body{}.bytes());
  CHECK_FALSE(body::one_shot("x").bytes());
  CHECK_FALSE(body::factory([] { return std::string{"x"}; }).bytes());
}

TEST_CASE("a reader outlives its body") {
  auto r = [] { return body{std::string(1000, 'x')}.open(); }();
  REQUIRE(r);
  CHECK(drain(*r, 64) == std::string(1000, 'x'));
}

TEST_CASE("a factory is called once per attempt, and not before") {
  int calls = 0;
  const body b = body::factory([&calls] { return "attempt " + std::to_string(++calls); });
  CHECK(calls == 0);
  CHECK(b.replayable());
  CHECK(once_through(b) == "attempt 1");
  CHECK(once_through(b) == "attempt 2");
  CHECK(calls == 2);
  CHECK_FALSE(b.absent());
}

TEST_CASE("a factory may give a source of unknown or announced size") {
  const body unknown = body::factory(
      []() -> std::unique_ptr<chunk_source> { return std::make_unique<pieces>("abcdefg", std::nullopt); });
  auto r = unknown.open();
  REQUIRE(r);
  CHECK_FALSE(r->size());
  CHECK_FALSE(r->bytes());
  CHECK(drain(*r) == "abcdefg");
  const body known = body::factory([] { return std::make_unique<pieces>("abcdefg", 7); });
  CHECK(known.open()->size() == 7);
  CHECK(once_through(known) == "abcdefg");
}

TEST_CASE("an announced size is met or the attempt fails: never more bytes, never silently fewer") {
  CHECK(once_through(body::factory([] { return std::make_unique<pieces>("abcdefg", 5); })) == "abcde");
  CHECK(once_through(body::factory([] { return std::make_unique<pieces>("abc", 5); })) ==
        "abcerror: the body ended before its announced size");
}

TEST_CASE("an exception of a factory or a source becomes the reason of a refusal") {
  CHECK(once_through(body::factory([]() -> std::string { throw std::runtime_error{"no data today"}; })) ==
        "refused: the body could not be made: no data today");
  CHECK(once_through(body::factory([]() -> std::string { throw 42; })) == "refused: the body could not be made");
  CHECK(once_through(body::factory([] { return std::unique_ptr<chunk_source>{}; })).find("returned no source") !=
        std::string::npos);
  CHECK(once_through(body::factory([] { return std::make_unique<failing>(); })) == "error: disk gone");
  CHECK(once_through(body::factory([] { return std::make_unique<sizeless>(); })) ==
        "refused: the body could not be made");
  CHECK(once_through(body::one_shot(std::make_unique<sizeless>())) == "refused: the body could not be made");
}

TEST_CASE("a file is opened and read again for each attempt") {
  const temporary_file file{"first content"};
  const body b = body::file(file.path);
  CHECK(once_through(b) == "first content");
  CHECK(once_through(b) == "first content");
  file.write("second");
  CHECK(b.open()->size() == 6);
  CHECK(once_through(b) == "second");
  CHECK(b.replayable());
}

TEST_CASE("a file that grows or shrinks under an attempt gives its announced size or an error") {
  const temporary_file file{"0123456789"};
  auto r = body::file(file.path).open();
  REQUIRE(r);
  file.write("01234567890123456789");
  CHECK(drain(*r) == "0123456789");
  auto again = body::file(file.path).open();
  REQUIRE(again);
  file.write("0123");
  CHECK(drain(*again) == "0123error: the body ended before its announced size");
}

TEST_CASE("a file that does not exist is refused with its path") {
  CHECK(once_through(body::file("/nonexistent/again")) ==
        "refused: the body's file '/nonexistent/again' could not be opened");
  CHECK(once_through(body::file("/tmp")).find("refused: the body") != std::string::npos);
}

TEST_CASE("a folder is refused, and not read as a file of nine exabytes") {
  const std::string folder = std::filesystem::temp_directory_path().string();
  CHECK(once_through(body::file(folder)) ==
        "refused: the body's file '" + folder + "' is not a file that can be read again");
}

TEST_CASE("only a body made by one_shot says that it is one") {
  CHECK(body::one_shot("x").one_shot());
  CHECK(!body{"x"}.one_shot());
  CHECK(!body{}.one_shot());
  CHECK(!body::factory([] { return std::string{}; }).one_shot());
}

TEST_CASE("a one-shot body is read once, from its beginning to its end") {
  const body b = body::one_shot("precious");
  CHECK(b.replayable());
  CHECK_FALSE(b.absent());
  {
    auto r = b.open();
    REQUIRE(r);
    std::array<char, 4> some{};
    CHECK(r->read(some) == 4);
  }
  CHECK_FALSE(b.replayable());
  CHECK(once_through(b) == "refused: the body can be sent once, and an earlier attempt has sent it");
}

TEST_CASE("of all copies of a one-shot body one can be read") {
  const body b = body::one_shot(std::make_unique<pieces>("abc", std::nullopt));
  const body copy = b;
  CHECK(once_through(copy) == "abc");
  CHECK_FALSE(b.replayable());
  CHECK(once_through(b).find("refused") == 0);
}
