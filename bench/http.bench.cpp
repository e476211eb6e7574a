// SPDX-License-Identifier: MIT
// Requests of 1 KiB over kept connections to an nginx on the same machine: again over cpp-httplib and over Beast, beside bare
// cpp-httplib in as many threads, libcurl, and Boost.Asio and Beast by hand. Client and server share the processors: compare CPU time
// before throughput.
#include "harness.hpp"
#include "nginx.hpp"
#include "peers/peers.hpp"

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

namespace {

namespace peers = bench::peers;
using goal = bench::suite::goal;

constexpr const char* asio = "Boost.Asio by hand, one thread";
constexpr const char* over_beast = "again::retry over Beast, one thread";

// The limits are those of docs/performance.md.
void add_goals(bench::suite& s, const std::string& group) {
  struct row {
    const char* text;
    const char* who;
    const char* against;
    double limit;
    const char* metric;
  };
  for (const row& r : {
           row{", shared loop: throughput / bare cpp-httplib", "again::retry, shared loop", "cpp-httplib, threads",
               0.97, "krps"},
           row{", shared loop: CPU per request / bare cpp-httplib", "again::retry, shared loop", "cpp-httplib, threads",
               1.10, "cpu_us"},
           row{": throughput / bare cpp-httplib", "again::retry", "cpp-httplib, threads", 0.97, "krps"},
           row{": CPU per request / bare cpp-httplib", "again::retry", "cpp-httplib, threads", 1.10, "cpu_us"},
           row{": CPU with retry / without", "again::retry", "again without retry", 1.01, "cpu_us"},
           row{", over Beast: CPU per request / Boost.Asio by hand", over_beast, asio, 1.25, "cpu_us"},
           row{", over Beast: CPU per request / again over cpp-httplib", over_beast, "again::retry", 0.6, "cpu_us"},
           row{", over Beast: throughput / Boost.Asio by hand", over_beast, asio, 0.85, "krps"},
       }) {
    s.add_goal(goal{.text = group + r.text,
                    .group = group,
                    .who = r.who,
                    .against_group = {},
                    .against = r.against,
                    .limit = r.limit,
                    .metric = r.metric,
                    .at_least = std::string{r.metric} == "krps"});
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  bench::suite s{"http", argc, argv};
  const bench::nginx server;
  if (!server.up()) {
    std::printf("\n== http == left out: nginx does not start (install nginx-light)\n");
    return 0;
  }
  const bench::target quote = server.quote();
  // Long enough that to start 64 threads is nothing beside it.
  const std::size_t n = s.quick() ? 4'000 : 6'000;
  s.rounds(s.quick() ? 3 : 25);

  for (const std::size_t flights : {std::size_t{16}, std::size_t{64}}) {
    const std::string group = std::to_string(flights) + " in flight";
    const auto add = [&](const char* who, peers::client client, bool one_thread = false) {
      s.add_once(group, who, n, bench::timed_requests(std::make_shared<peers::client>(std::move(client))),
                 bench::timed_by::wall,
                 one_thread && flights == 16);  // the number in flight makes no difference to the count
    };
    add("cpp-httplib, threads", peers::httplib_threads(quote, flights));
    add("again::retry", peers::again_over_httplib(quote, flights, {}));
    add("again without retry", peers::again_over_httplib(quote, flights, {.retried = false}));
    add("again::retry, shared loop", peers::again_over_httplib(quote, flights, {.shared_loop = true}));
    add("again without retry, shared loop",
        peers::again_over_httplib(quote, flights, {.retried = false, .shared_loop = true}));
#if defined(BENCH_WITH_AGAIN_BEAST)
    add(over_beast, peers::again_over_beast(quote, flights, {}), true);
    add("again without retry over Beast, one thread", peers::again_over_beast(quote, flights, {.retried = false}),
        true);
    add("again::retry over Beast, a thread for it", peers::again_over_beast(quote, flights, {.own_thread = true}));
#endif
#if defined(BENCH_WITH_CURL)
    add("libcurl easy, threads", peers::curl_threads(quote, flights));
    add("libcurl multi, one thread", peers::curl_multi(quote, flights), true);
#endif
#if defined(BENCH_WITH_BOOST)
    add(asio, peers::asio_by_hand(quote, flights), true);
    add("Beast by hand, one thread", peers::beast_by_hand(quote, flights, false), true);
    add("Beast by hand, bounded in time", peers::beast_by_hand(quote, flights, true), true);
#endif
    s.add_ratio("cpu_of_asio", group, "cpu_us", asio);
    s.add_ratio("krps_of_asio", group, "krps", asio);
    add_goals(s, group);
  }
  s.note("Client and server share the machine's processors; nginx has one worker. ns is wall time per request over all "
         "connections.");
#if !defined(BENCH_WITH_AGAIN_BEAST)
  s.note("Left out: again over Beast (needs Boost 1.77 and OpenSSL).");
#endif
#if defined(BENCH_WITH_CURL)
  s.note("libcurl multi: curl_multi_socket_action over epoll.");
#else
  s.note("Left out: libcurl (install libcurl4-openssl-dev).");
#endif
#if !defined(BENCH_WITH_BOOST)
  s.note("Left out: Boost.Asio and Beast by hand (install libboost-dev, 1.77 or later).");
#endif
  return s.run();
}
