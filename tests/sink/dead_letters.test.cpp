// SPDX-License-Identifier: MIT
#include <again/sink/dead_letters.hpp>

#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace {
/// What the next calls fail with; 0: they do what they should.
int fsync_fails = 0, fdatasync_fails = 0;

int synced(long call, int fd, int fails) {
  if (fails == 0) return static_cast<int>(::syscall(call, fd));
  errno = fails;
  return -1;
}
}  // namespace

// In place of the C library's: a disk that cannot be written is not to be had in a test.
extern "C" int fsync(int fd) { return synced(SYS_fsync, fd, fsync_fails); }
extern "C" int fdatasync(int fd) { return synced(SYS_fdatasync, fd, fdatasync_fails); }

using namespace again;
using nlohmann::json;

namespace {

const wall_time noon{std::chrono::seconds{1'700'000'000}};

struct folder {
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "again-dead-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream in{path};
  std::vector<std::string> all;
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

delivery undelivered(std::string id, std::string body = "{}",
                     const http::error& last = {http::rules{}, {}, http::response{503}, wall_time{}}) {
  event e{std::move(id), std::move(body), {{"Content-Type", "text/plain"}, {"X", "b\xff"}}};
  e.key = "k\"1";
  delivery d{std::move(e)};
  d.accepted = true;
  d.outcomes.emplace_back(
      "x",
      endpoint_outcome::result_type{
          unexpect, failure<http::error>{{.reason = stop_reason::attempts_exhausted, .attempts = 4, .error = last}}},
      4, duration{}, attempt_trace{});
  return d;
}

}  // namespace

TEST_CASE("a line is JSON and holds everything needed to send the event again, byte for byte") {
  const json j = json::parse(dead_letter_line(undelivered("1", std::string{"a\0\"\n\xc3\xa4", 6}), noon));
  CHECK(j["id"] == "1");
  CHECK(j["key"] == "k\"1");
  CHECK(j["body"] == std::string{"a\0\"\n\xc3\xa4", 6});
  CHECK(j["headers"][0] == json::array({"Content-Type", "text/plain"}));
  CHECK(j["headers"][1][1]["base64"] == "Yv8=");
  CHECK(j["at"] == 1'700'000'000);
  CHECK(j["reason"] == "attempts_exhausted");
  CHECK(j["attempts"] == 4);
  CHECK(j["error"] == "503 Service Unavailable (answered)");
  CHECK(j["status"] == 503);
  CHECK(j["only"] == json::array());
  const json binary = json::parse(dead_letter_line(undelivered("1", "\xff\xfe"), noon));
  CHECK(binary["body"]["base64"] == "//4=");
}

TEST_CASE("a letter has the error where there is one, and a status only where a response came") {
  const http::error refused{http::rules{}, {}, http::error_kind::refused, reach::not_sent, "no connection"};
  const json j = json::parse(dead_letter_line(undelivered("1", "{}", refused), noon));
  CHECK(j["error"] == "refused: no connection (not_sent)");
  CHECK(!j.contains("status"));
  delivery waiting{event{"2"}};
  waiting.not_begun = stop_reason::cancelled_before_start;
  const json before = json::parse(dead_letter_line(waiting, noon));
  CHECK(before["reason"] == "cancelled_before_start");
  CHECK(before["attempts"] == 0);
  for (const char* const member : {"error", "status", "key", "order_key"}) CHECK(!before.contains(member));
}

TEST_CASE("a letter names the endpoints that did not take the event, unless any endpoint will do") {
  using names = std::vector<std::string>;
  const auto only = [](const delivery& d) { return json::parse(dead_letter_line(d, noon))["only"].get<names>(); };
  delivery d = undelivered("1");
  CHECK(only(d) == names{});  // it took turns
  d.event.only = {"x"};
  CHECK(only(d) == names{"x"});
  d.event.only.clear();
  d.outcomes.emplace_back("y", http::response{200}, 1, duration{}, attempt_trace{});
  d.outcomes.emplace_back("z", d.outcomes.front().result, 4, duration{}, attempt_trace{});
  CHECK(only(d) == names{"x", "z"});
  delivery waiting{event{"2"}};
  CHECK(only(waiting) == names{});
  waiting.event.only = {"x", "y"};
  CHECK(only(waiting) == names{"x", "y"});
}

TEST_CASE("with durability::disk a letter that cannot be synced is lost, and so is the file whose folder cannot be") {
  const folder here;
  const auto named = [&here](const char* name) { return (here.path / name).string(); };
  {
    dead_letter_file file{named("a"), durability::disk}, quick{named("b")};
    fdatasync_fails = EIO;
    CHECK(!file.write(undelivered("1"), noon));
    CHECK(quick.write(undelivered("1"), noon));  // it does not sync
    fdatasync_fails = EINVAL;                    // a pipe, say
    CHECK(file.write(undelivered("2"), noon));
    fdatasync_fails = 0;
    CHECK(file.lost() == 1);
    CHECK(file.written() == 1);
    CHECK(file.problem() == named("a") + ": Input/output error");
  }
  fsync_fails = EIO;
  CHECK_THROWS_WITH_AS((dead_letter_file{named("c"), durability::disk}),
                       ("cannot write " + named("c") + ": Input/output error").c_str(), std::system_error);
  CHECK(dead_letter_file{named("d")}.write(undelivered("1"), noon));
  for (const int harmless : {EINVAL, EROFS}) {  // of folders that have no disk
    fsync_fails = harmless;
    CHECK(dead_letter_file{named("e"), durability::disk}.write(undelivered("1"), noon));
  }
  fsync_fails = 0;
}

TEST_CASE("bytes that are not UTF-8 are base64: every kind of malformed sequence, and no well-formed one") {
  for (const char* const good :
       {"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    CHECK(detail::is_utf8(good));
  for (const char* const bad : {"\x80", "\xc0\xaf", "\xc1\x81", "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
                                "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xc2z"}) {
    CHECK(!detail::is_utf8(bad));
  }
  for (const auto& [bytes, text] : {std::pair{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"}}) {
    CHECK(detail::base64(bytes) == text);  // RFC 4648 10
  }
}

TEST_CASE(
    "lines are appended, the file has mode 0600, and a line that another writer cut short stays on a line of its own") {
  const folder here;
  const std::string path = here.path / "dead.jsonl";
  {
    dead_letter_file file{path};
    CHECK(file.write(undelivered("1"), noon));
    CHECK(file.write(undelivered("2"), noon));
    CHECK(file.written() == 2);
  }
  struct stat about{};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777U) == 0600);
  std::ofstream{path, std::ios::app} << "{\"half\":";
  {
    dead_letter_file file{path, durability::disk};
    CHECK(file.write(undelivered("3"), noon));
    CHECK(file.write(undelivered("4"), noon));
  }
  const auto lines = lines_of(path);
  REQUIRE(lines.size() == 5);
  CHECK(lines[2] == "{\"half\":");
  CHECK(json::parse(lines[3])["id"] == "3");
  CHECK(json::parse(lines[4])["id"] == "4");
}

TEST_CASE("several writers of one file never mix their lines") {
  const folder here;
  const std::string path = here.path / "dead.jsonl";
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&path, w] {
      dead_letter_file file{path};
      for (int i = 0; i < 200; ++i)
        file.write(undelivered(std::to_string(w), std::string(3000, static_cast<char>('a' + w))), noon);
    });
  }
  for (std::thread& t : writers) t.join();
  const auto lines = lines_of(path);
  CHECK(lines.size() - static_cast<std::size_t>(std::count(lines.begin(), lines.end(), "")) == 800);
  for (const std::string& line : lines) CHECK((line.empty() || json::accept(line)));
}

TEST_CASE("a file that cannot be opened throws with its path; on a full disk a letter is lost and counted, and a later "
          "one is whole") {
  const folder here;
  CHECK_THROWS_WITH_AS(dead_letter_file{"/nowhere/dead.jsonl"},
                       "cannot write /nowhere/dead.jsonl: No such file or directory", std::system_error);
  CHECK_THROWS_AS(dead_letter_file{here.path.string()}, std::system_error);
  dead_letter_file full{"/dev/full"};
  CHECK(!full.write(undelivered("1"), noon));
  CHECK(full.lost() == 1);
  CHECK(full.problem() == "/dev/full: No space left on device");

  // A limit on the size of files stands for a disk that fills up inside a line.
  const std::string path = here.path / "dead.jsonl";
  dead_letter_file file{path};
  CHECK(file.write(undelivered("1"), noon));
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  auto* const old = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit little{std::filesystem::file_size(path) + 20, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &little);
  const bool cut = file.write(undelivered("2"), noon), nothing = file.write(undelivered("3"), noon);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old);
  CHECK(!cut);
  CHECK(!nothing);
  CHECK(file.lost() == 2);
  CHECK(file.write(undelivered("4"), noon));
  const auto lines = lines_of(path);
  REQUIRE(lines.size() == 3);
  CHECK(json::parse(lines[0])["id"] == "1");
  CHECK(!json::accept(lines[1]));
  CHECK(json::parse(lines[2])["id"] == "4");
}

TEST_CASE("a line that another process leaves unfinished while the file is open does not swallow the next one") {
  const folder here;
  const std::string path = here.path / "dead.jsonl";
  dead_letter_file file{path};
  CHECK(file.write(undelivered("1"), noon));
  std::ofstream{path, std::ios::app} << "{\"half\":";
  CHECK(file.write(undelivered("2"), noon));
  const auto lines = lines_of(path);
  REQUIRE(lines.size() == 3);
  CHECK(lines[1] == "{\"half\":");
  CHECK(json::parse(lines[2])["id"] == "2");
}

TEST_CASE("letters go to the file that the path names now; where it cannot be opened and the old file has no name any "
          "more, a letter is lost") {
  const folder here;
  const std::filesystem::path inside = here.path / "inside", path = inside / "dead.jsonl";
  std::filesystem::create_directory(inside);
  dead_letter_file file{path.string(), durability::disk};
  CHECK(file.write(undelivered("1"), noon));
  std::filesystem::rename(path, here.path / "rotated.jsonl");
  CHECK(file.write(undelivered("2"), noon));
  std::filesystem::remove(path);
  CHECK(file.write(undelivered("3"), noon));
  REQUIRE(lines_of(here.path / "rotated.jsonl").size() == 1);
  REQUIRE(lines_of(path).size() == 1);
  CHECK(json::parse(lines_of(path)[0])["id"] == "3");

  std::filesystem::rename(path, here.path / "kept.jsonl");
  std::filesystem::remove(inside);
  CHECK(file.write(undelivered("4"), noon));  // nothing better is to be had, and it has a name
  CHECK(lines_of(here.path / "kept.jsonl").size() == 2);
  std::filesystem::remove(here.path / "kept.jsonl");
  CHECK(!file.write(undelivered("5"), noon));
  CHECK(file.problem() == path.string() + ": No such file or directory");
  CHECK(file.lost() == 1);
  std::filesystem::create_directory(inside);
  CHECK(file.write(undelivered("6"), noon));
  CHECK(lines_of(path).size() == 1);
}
