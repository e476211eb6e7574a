// SPDX-License-Identifier: MIT
// The program `deliver`, from its start to its end: a file of small events to an nginx on the same machine, beside a program over
// libcurl that POSTs the same lines and looks at none of them, and beside itself with a journal.
#include "child.hpp"
#include "harness.hpp"
#include "nginx.hpp"

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

namespace {

using goal = bench::suite::goal;

constexpr const char* over_httplib = "deliver, over cpp-httplib";
constexpr const char* over_beast = "deliver, over Beast";
constexpr const char* kept = "deliver, over cpp-httplib, with a journal";
constexpr const char* curl = "libcurl multi, parses nothing";

/// A journal in a folder of its own, anew for each run; gone with the object.
class journal_folder {
 public:
  journal_folder() {
    char name[] = "/tmp/again-bench-XXXXXX";
    if (::mkdtemp(name) == nullptr) bench::lost();
    folder_ = name;
  }
  journal_folder(const journal_folder&) = delete;
  journal_folder& operator=(const journal_folder&) = delete;
  ~journal_folder() { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_.string() + "/events.db"; }
  void clear() const {
    for (const auto& file : std::filesystem::directory_iterator{folder_}) std::filesystem::remove(file);
  }

 private:
  std::filesystem::path folder_;
};

// Sensor readings of about 200 bytes; gone with the object.
class event_file {
 public:
  explicit event_file(std::size_t count) {
    char name[] = "/tmp/again-bench-XXXXXX";
    const int fd = ::mkstemp(name);
    if (fd < 0) bench::lost();
    ::close(fd);
    path_ = name;
    std::ofstream out{path_};
    for (std::size_t i = 0; i < count; ++i) {
      out << R"({"specversion":"1.0","id":"reading-)" << 10'000'000 + i
          << R"(","source":"urn:sensor:cold-store-2","type":"com.example.sensor.reading","time":"2024-09-17T06:00:02Z",)"
          << R"("data":{"celsius":1.94,"humidity":0.729,"battery":)" << i % 100 << "}}\n";
    }
  }
  event_file(const event_file&) = delete;
  event_file& operator=(const event_file&) = delete;
  ~event_file() { ::unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace

int main(int argc, char** argv) {
  bench::suite s{"deliver", argc, argv};
  const bench::nginx server;
  if (!server.up()) {
    std::printf("\n== deliver == left out: nginx does not start (install nginx-light)\n");
    return 0;
  }
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/orders";
  const std::size_t n = s.quick() ? 10'000 : 50'000;
  const event_file events{n};
  const std::string deliver = BENCH_DELIVER;
  const std::string help = bench::run_child({deliver, "--help"}).output;
  const bool chooses = help.find("--transport") != std::string::npos;
  const journal_folder journal;

  for (const char* const flights : {"16", "64"}) {
    const std::string group = std::string{flights} + " in flight";
    const auto add = [&](const char* who, std::vector<std::string> words) {
      s.add_once(
          group, who, n,
          [words = std::move(words), &journal](std::size_t count, std::map<std::string, double>& own) {
            journal.clear();
            const bench::child_figures seen = bench::run_child(words, "/dev/null");
            if (seen.status != 0) {
              std::fprintf(stderr, "bench deliver: '%s' ended with status %d\n", words[0].c_str(), seen.status);
              return;
            }
            own["cpu_us"] = 1e6 * seen.cpu_s / static_cast<double>(count);
            own["krps"] = 1e-3 * static_cast<double>(count) / seen.wall_s;
          },
          bench::timed_by::itself);
    };
    const std::vector<std::string> words{deliver, url, "--input", events.path(), "--parallel", flights};
    add(over_httplib, words);
    {
      std::vector<std::string> more = words;
      more.insert(more.end(), {"--journal", journal.path()});
      add(kept, std::move(more));
    }
    if (chooses) {
      std::vector<std::string> more = words;
      more.insert(more.end(), {"--transport", "beast"});
      add(over_beast, std::move(more));
    }
#if defined(BENCH_POST_LINES)
    add(curl, {BENCH_POST_LINES, url, events.path(), flights});
#endif
    s.add_ratio("krps_of_no_journal", group, "krps", over_httplib);
    s.add_ratio("cpu_of_curl", group, "cpu_us", curl);
    s.add_ratio("krps_of_curl", group, "krps", curl);
    s.add_goal(goal{.text = group + ": events per second with a journal / without",
                    .group = group,
                    .who = kept,
                    .against_group = {},
                    .against = over_httplib,
                    .limit = 0.7,
                    .metric = "krps",
                    .at_least = true});
    s.add_goal(goal{.text = group + ", over Beast: events per second / libcurl multi",
                    .group = group,
                    .who = over_beast,
                    .against_group = {},
                    .against = curl,
                    .limit = 1.0,
                    .metric = "krps",
                    .at_least = true});
    s.add_goal(goal{.text = group + ", over Beast: CPU per event / libcurl multi",
                    .group = group,
                    .who = over_beast,
                    .against_group = {},
                    .against = curl,
                    .limit = 1.5,
                    .metric = "cpu_us"});
  }
  s.note("Events of about 200 bytes, POSTed. The time is that of the whole process. `deliver` parses each event, makes "
         "its "
         "Idempotency-Key and writes a result; the other program does neither.");
  if (!chooses) s.note("Left out: deliver over Beast (it has no --transport here).");
#if !defined(BENCH_POST_LINES)
  s.note("Left out: libcurl (install libcurl4-openssl-dev).");
#endif
  return s.run();
}
