// SPDX-License-Identifier: MIT
// The laboratory: simulated clients and servers in pretend time, with the library's own combinators and one seed.
//
//     lab FOLDER      writes the CSV files and SVG figures of docs/laboratory.md
#include "lab/amplification.hpp"
#include "lab/chart.hpp"
#include "lab/metastable.hpp"
#include "lab/optimistic_concurrency.hpp"

#include <array>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace {

constexpr std::uint64_t seed = 42;

template <class... Args> std::string format(const char* pattern, Args... args) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), pattern, args...);
  return text.data();
}

void jitter(const std::string& folder) {
  constexpr int runs = 100;
  std::string csv = "clients,algorithm,mean_completion_time,mean_calls\n";
  std::vector<lab::line> times;
  std::vector<lab::line> calls;
  for (const lab::named_backoff& how : lab::aws_backoffs) {
    times.push_back({std::string{how.name}, {}});
    calls.push_back({std::string{how.name}, {}});
  }
  for (int clients = 10; clients <= 190; clients += 20) {
    for (std::size_t i = 0; i < lab::aws_backoffs.size(); ++i) {
      const lab::contention c = lab::compete(clients, lab::aws_backoffs[i], runs, seed);
      csv += format("%d,%s,%.0f,%.0f\n", clients, std::string{lab::aws_backoffs[i].name}.c_str(), c.completion_time,
                    c.calls);
      times[i].points.emplace_back(clients, c.completion_time);
      calls[i].points.emplace_back(clients, c.calls);
    }
  }
  lab::write(folder + "/backoff_and_jitter.csv", csv);
  lab::write(folder + "/backoff_and_jitter_calls.svg", lab::svg({.title = "Calls until all clients are done",
                                                                 .x_label = "competing clients",
                                                                 .y_label = "calls",
                                                                 .lines = calls}));
  lab::write(folder + "/backoff_and_jitter_time.svg", lab::svg({.title = "Time until all clients are done",
                                                                .x_label = "competing clients",
                                                                .y_label = "units (logarithmic)",
                                                                .lines = times,
                                                                .logarithmic = true}));
}

void amplification(const std::string& folder) {
  std::string csv = "budget,outage,fail_1_percent,fail_10_percent,fail_50_percent\n";
  std::vector<lab::line> lines;
  for (const lab::named_budget& b : lab::budgets) {
    const std::string name{b.name};
    csv += "\"" + name + "\"," + format("%.4f", lab::amplify(b, 10'000, 1.0, seed).per_request());
    for (const double failing : {0.01, 0.1, 0.5})
      csv += format(",%.4f", lab::amplify(b, 100'000, failing, seed).per_request());
    csv += '\n';
    lab::line l{name, {}};
    for (int percent = 0; percent <= 100; percent += 5) {
      l.points.emplace_back(percent, lab::amplify(b, 20'000, percent / 100.0, seed).per_request());
    }
    lines.push_back(l);
  }
  lab::write(folder + "/amplification.csv", csv);
  lab::write(folder + "/amplification.svg", lab::svg({.title = "Sends per request, three attempts each",
                                                      .x_label = "attempts that fail, %",
                                                      .y_label = "sends per request",
                                                      .lines = lines,
                                                      .y_most = 3}));
}

void metastable(const std::string& folder) {
  std::string csv = "strategy,recovered_after_s,peak_sends_per_s,answered_share\n";
  std::string course_csv = "strategy,second,asked,sends,answered\n";
  std::vector<lab::line> good;
  std::vector<lab::line> load;
  for (const lab::named_strategy& s : lab::strategies) {
    const std::string name{s.name};
    const lab::course c = lab::outage(s.which, seed);
    csv += name + (c.recovered < 0 ? std::string{",never"} : format(",%d", c.recovered)) +
           format(",%.0f,%.3f\n", c.peak_load(), c.share_answered());
    lab::line g{name, {}};
    lab::line l{name, {}};
    for (int second = 0; second < lab::course::seconds; ++second) {
      const std::size_t i = static_cast<std::size_t>(second);
      course_csv += name + format(",%d,%.0f,%.0f,%.0f\n", second, c.asked[i], c.load[i], c.good[i]);
      g.points.emplace_back(second, c.good[i]);
      l.points.emplace_back(second, c.load[i]);
    }
    good.push_back(g);
    load.push_back(l);
  }
  lab::write(folder + "/metastable.csv", csv);
  lab::write(folder + "/metastable_course.csv", course_csv);
  const std::vector<std::pair<double, double>> outage{{lab::course::fails_at, lab::course::heals_at}};
  lab::write(folder + "/metastable_answered.svg",
             lab::svg({.title = "Calls answered, around ten seconds without a server",
                       .x_label = "seconds",
                       .y_label = "responses per second",
                       .lines = good,
                       .y_most = 2000,
                       .shaded = outage}));
  lab::write(folder + "/metastable_load.svg", lab::svg({.title = "Sends that reach the server (it can serve 1000)",
                                                        .x_label = "seconds",
                                                        .y_label = "sends per second",
                                                        .lines = load,
                                                        .y_most = 6000,
                                                        .shaded = outage}));
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fputs("lab FOLDER: writes the laboratory's CSV files and figures there\n", stderr);
    return 2;
  }
  jitter(argv[1]);
  amplification(argv[1]);
  metastable(argv[1]);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
