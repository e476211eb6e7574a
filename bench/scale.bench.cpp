// SPDX-License-Identifier: MIT
// Ten thousand requests in flight, each answered after 1.5 s, three rounds over the same connections: time, memory, threads and
// descriptors. Each client runs in a process of its own.
#include "child.hpp"
#include "harness.hpp"
#include "peers/peers.hpp"
#include "slow_server.hpp"

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/resource.h>

namespace {

namespace peers = bench::peers;
using goal = bench::suite::goal;

constexpr std::size_t rounds = 3;
constexpr double delay = 1.5;

struct program {
  const char* name;
  peers::client (*over)(const bench::target&, std::size_t flights);
};

constexpr const char* over_beast = "again::retry over Beast, one thread";
constexpr const char* curl = "libcurl multi, one thread";

const std::vector<program>& programs() {
  static const std::vector<program> all{
#if defined(BENCH_WITH_AGAIN_BEAST)
      {over_beast, [](const bench::target& to, std::size_t n) { return peers::again_over_beast(to, n, {}); }},
      {"again::retry over Beast, a thread for it",
       [](const bench::target& to, std::size_t n) { return peers::again_over_beast(to, n, {.own_thread = true}); }},
#endif
#if defined(BENCH_WITH_HTTPLIB)
      {"again::retry over cpp-httplib",
       [](const bench::target& to, std::size_t n) { return peers::again_over_httplib(to, n, {}); }},
#endif
#if defined(BENCH_WITH_CURL)
      {curl, &peers::curl_multi},
#endif
#if defined(BENCH_WITH_BOOST)
      {"Boost.Asio by hand, one thread", &peers::asio_by_hand},
      {"Beast by hand, one thread",
       [](const bench::target& to, std::size_t n) { return peers::beast_by_hand(to, n, false); }},
      {"Beast by hand, bounded in time",
       [](const bench::target& to, std::size_t n) { return peers::beast_by_hand(to, n, true); }},
#endif
  };
  return all;
}

// Every descriptor that the machine lets one process have.
std::size_t raised_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0 && ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return static_cast<std::size_t>(limit.rlim_cur);
}

// The measured process: scale --client NAME PORT FLIGHTS. It prints the seconds that its requests took.
int run_client(std::string_view name, const char* port, const char* flights_text) {
  const bench::target to{
      .port = static_cast<int>(std::strtol(port, nullptr, 10)), .path = "/slow", .body = bench::slow_server::body};
  const auto flights = static_cast<std::size_t>(std::strtoul(flights_text, nullptr, 10));
  for (const program& p : programs()) {
    if (name != p.name) continue;
    const double start = bench::wall_seconds();
    const peers::client client = p.over(to, flights);
    client(rounds * flights);
    std::printf("%f\n", bench::wall_seconds() - start);
    std::fflush(stdout);
    std::_Exit(0);  // what a program frees at its end is not measured
  }
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::size_t limit = raised_limit();
  if (argc == 5 && std::string_view{argv[1]} == "--client") return run_client(argv[2], argv[3], argv[4]);

  bench::suite s{"scale", argc, argv};
  constexpr std::size_t beside = 200;  // descriptors that are no connection
  const std::size_t wanted = s.quick() ? 2'000 : 10'000;
  const std::size_t flights = std::min(wanted, limit - beside);
  const std::string group = std::to_string(flights) + " in flight";
  for (const program& p : programs()) {
    s.add_once(
        group, p.name, rounds * flights,
        [flights, name = p.name](std::size_t n, std::map<std::string, double>& own) {
          const bench::slow_server server{delay};
          const bench::child_figures seen = bench::run_child(
              {"/proc/self/exe", "--client", name, std::to_string(server.slow().port), std::to_string(flights)}, {},
              true);
          if (seen.status != 0) {
            std::fprintf(stderr, "bench scale: '%s' ended with status %d\n", name, seen.status);
            return;
          }
          own["wall_s"] = std::strtod(seen.output.c_str(), nullptr);
          own["cpu_us"] = 1e6 * seen.cpu_s / static_cast<double>(n);
          own["rss_mib"] = seen.rss_mib;
          own["threads"] = static_cast<double>(seen.threads);
          own["descriptors"] = static_cast<double>(seen.descriptors);
        },
        bench::timed_by::itself);
  }
  s.add_goal(goal{.text = "over Beast: seconds / libcurl multi",
                  .group = group,
                  .who = over_beast,
                  .against_group = {},
                  .against = curl,
                  .limit = 1.1,
                  .metric = "wall_s"});
  const auto bounded = [&](const char* text, const char* metric, double most, double per) {
    s.add_goal(goal{.text = text,
                    .group = group,
                    .who = over_beast,
                    .against_group = {},
                    .against = {},
                    .limit = most,
                    .metric = metric,
                    .per = per});
  };
  bounded("over Beast: threads (one, and the resolver's)", "threads", 2, 1);
  if (flights == wanted && !s.quick()) bounded("over Beast: memory in MiB", "rss_mib", 110, 1);
  bounded("over Beast: descriptors for each request (the process has some more)", "descriptors", 1.005,
          static_cast<double>(flights));

  if (flights < wanted) {
    s.note("Fewer in flight than " + std::to_string(wanted) + ": a process may have only " + std::to_string(limit) +
           " descriptors here (ulimit -Hn).");
  }
  s.note(
      "Three rounds of 1.5 s are 4.5 s at the least. wall_s includes connecting. The server is one more process, with "
      "one thread.");
#if !defined(BENCH_WITH_AGAIN_BEAST)
  s.note("Left out: again over Beast (needs Boost 1.77 and OpenSSL).");
#endif
#if !defined(BENCH_WITH_CURL)
  s.note("Left out: libcurl (install libcurl4-openssl-dev).");
#endif
#if !defined(BENCH_WITH_BOOST)
  s.note("Left out: Boost.Asio and Beast by hand (install libboost-dev, 1.77 or later).");
#endif
  return s.run();
}
