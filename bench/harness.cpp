// SPDX-License-Identifier: MIT
#include "harness.hpp"

#include "allocations.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include <unistd.h>

#if __has_include(<linux/perf_event.h>)
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#endif
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name)
#endif

#ifndef BENCH_FLAGS
#define BENCH_FLAGS ""
#endif

namespace bench {

namespace {

double seconds_of(clockid_t which) noexcept {
  timespec t{};
  clock_gettime(which, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double read_clock(timed_by how) noexcept {
  return how == timed_by::thread ? thread_seconds() : how == timed_by::process ? process_seconds() : wall_seconds();
}

/// The processor's own count of user instructions of this thread; not there in most virtual machines.
class instruction_counter {
 public:
  instruction_counter() {
#ifdef PERF_COUNT_HW_INSTRUCTIONS
    perf_event_attr attr{};
    attr.type = PERF_TYPE_HARDWARE;
    attr.size = sizeof attr;
    attr.config = PERF_COUNT_HW_INSTRUCTIONS;
    attr.exclude_kernel = 1;
    attr.exclude_hv = 1;
    fd_ = static_cast<int>(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0UL));
#endif
  }
  instruction_counter(const instruction_counter&) = delete;
  instruction_counter& operator=(const instruction_counter&) = delete;
  ~instruction_counter() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] bool works() const noexcept { return fd_ >= 0; }
  [[nodiscard]] double now() const noexcept {
    std::uint64_t value = 0;
    return fd_ >= 0 && read(fd_, &value, sizeof value) == sizeof value ? static_cast<double>(value) : 0;
  }

 private:
  int fd_ = -1;
};
instruction_counter& counter() {
  static instruction_counter instance;
  return instance;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out;
}

std::string number(double v) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.6g", v);
  return text.data();
}

/// For people: three figures that matter.
std::string shown(double v) {
  std::array<char, 40> text{};
  const double a = std::fabs(v);
  const int decimals = a >= 100 || a == 0 ? 0 : a >= 10 ? 1 : a >= 0.995 ? 2 : 3;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, v);
  return text.data();
}

std::string first_line_of(const char* file, std::string_view key) {
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(key)) {
      const std::size_t colon = line.find_first_of(":=");
      std::string value = line.substr(colon == std::string::npos ? 0 : colon + 1);
      value.erase(0, value.find_first_not_of(" \t\""));
      value.erase(value.find_last_not_of("\"") + 1);
      return value;
    }
  }
  return "unknown";
}

std::string compiler() {
#if defined(__clang__)
  return std::string{"clang "} + __clang_version__;
#else
  return std::string{"g++ "} + __VERSION__;
#endif
}

std::string today() {
  std::array<char, 32> text{};
  const std::time_t t = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&t, &parts);
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

const std::vector<double>* series_of(const std::map<std::string, std::vector<double>>& all, const std::string& metric) {
  const auto found = all.find(metric);
  return found == all.end() || found->second.empty() ? nullptr : &found->second;
}

}  // namespace

double wall_seconds() noexcept { return seconds_of(CLOCK_MONOTONIC); }
double thread_seconds() noexcept { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }
double process_seconds() noexcept { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

double quantile(std::vector<double> series, double q) {
  if (series.empty()) return std::nan("");
  std::sort(series.begin(), series.end());
  const double at = q * static_cast<double>(series.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, series.size() - 1);
  return series[low] + (at - static_cast<double>(low)) * (series[high] - series[low]);
}

suite::suite(std::string topic, int argc, char** argv) : topic_{std::move(topic)}, program_{argv[0]} {
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--quick") {
      quick_ = true;
    } else if (arg == "--json" && i + 1 < argc) {
      json_ = argv[++i];
    } else if (arg == "--only" && i + 1 < argc) {
      only_ = argv[++i];
    } else if (arg == "--for-callgrind") {
      inner_ = true;
    } else {
      std::fprintf(stderr, "%s: [--quick] [--json FILE] [--only WORD]\n", argv[0]);
      std::exit(2);
    }
  }
  rounds_ = quick_ ? 7 : 21;
  rounds_of_long_calls_ = quick_ ? 1 : 5;
}

void suite::add(std::string group, std::string who, std::function<void(std::size_t)> body, timed_by how) {
  cases_.push_back({.group = std::move(group),
                    .who = std::move(who),
                    .body = std::move(body),
                    .once = {},
                    .how = how,
                    .counted = how == timed_by::thread,
                    .n = 1,
                    .series = {}});
}
void suite::add_once(std::string group, std::string who, std::size_t n,
                     std::function<void(std::size_t, std::map<std::string, double>&)> body, timed_by how,
                     bool counted) {
  cases_.push_back({.group = std::move(group),
                    .who = std::move(who),
                    .body = {},
                    .once = std::move(body),
                    .how = how,
                    .counted = counted,
                    .n = n,
                    .series = {}});
}
void suite::figure(std::string group, std::string who, std::string metric, double value) {
  for (one& c : cases_) {
    if (c.group == group && c.who == who) {
      c.series[metric] = {value};
      return;
    }
  }
  cases_.push_back({.group = std::move(group),
                    .who = std::move(who),
                    .body = {},
                    .once = {},
                    .how = {},
                    .counted = false,
                    .n = 0,
                    .series = {}});
  cases_.back().series[metric] = {value};
}
void suite::add_goal(goal g) { goals_.push_back(std::move(g)); }
void suite::add_ratio(std::string name, std::string group, std::string metric, std::string against) {
  ratios_.push_back({std::move(name), std::move(group), std::move(metric), std::move(against)});
}
void suite::note(std::string sentence) { notes_.push_back(std::move(sentence)); }

bool suite::wanted(const one& c) const {
  return only_.empty() || c.group.find(only_) != std::string::npos || c.who.find(only_) != std::string::npos;
}

// As many turns as take a hundredth of a second; the first calls also fill the caches of frames and of the processor.
void suite::calibrate(one& c) const {
  if (!c.body) return;
  const double wanted_seconds = quick_ ? 0.004 : 0.012;
  c.n = 16;
  for (;;) {
    const double start = read_clock(c.how);
    c.body(c.n);
    const double took = read_clock(c.how) - start;
    if (took >= wanted_seconds / 4) {
      c.n = std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(c.n) * wanted_seconds / took));
      return;
    }
    c.n *= 4;
  }
}

// Once without looking at the time: what is allocated, and how much at once.
void suite::count(one& c) const {
  if ((!c.body && !c.once) || c.how == timed_by::itself) return;
  std::map<std::string, double> own;
  start_counting_allocations();
  c.body ? c.body(c.n) : c.once(c.n, own);
  const allocation_counts seen = stop_counting_allocations();
  const double n = static_cast<double>(c.n);
  c.series["allocations"] = {static_cast<double>(seen.allocations) / n};
  c.series["bytes"] = {static_cast<double>(seen.bytes) / n};
  if (c.once) c.series["peak"] = {static_cast<double>(seen.peak_bytes) / n};
}

void suite::measure(one& c) const {
  if (!c.body && !c.once) return;
  std::map<std::string, double> own;
  const double instructions = counter().now();
  const double start = read_clock(c.how);
  c.body ? c.body(c.n) : c.once(c.n, own);
  const double took = read_clock(c.how) - start;
  const double executed = counter().now() - instructions;
  const double n = static_cast<double>(c.n);
  if (c.how != timed_by::itself) c.series["ns"].push_back(1e9 * took / n);
  if (counter().works() && c.counted) c.series["instructions"].push_back(executed / n);
  for (const auto& [metric, value] : own) {
    if (metric == "ns" && c.how != timed_by::itself) {
      c.series["ns"].back() = value;  // it timed the part that matters itself
    } else {
      c.series[metric].push_back(value);
    }
  }
}

// Round by round, as for the goals.
void suite::compute_ratios() {
  for (const ratio& r : ratios_) {
    for (one& c : cases_) {
      if (c.group != r.group) continue;
      const std::vector<double> v = values(goal{.text = {},
                                                .group = r.group,
                                                .who = c.who,
                                                .against_group = r.group,
                                                .against = r.against,
                                                .metric = r.metric});
      if (!v.empty()) c.series[r.name] = {quantile(v, 0.5)};
    }
  }
}

const suite::one* suite::find(const std::string& group, const std::string& who) const {
  for (const one& c : cases_) {
    if (c.group == group && c.who == who) return &c;
  }
  return nullptr;
}

int suite::run() {
  std::erase_if(cases_, [this](const one& c) { return !wanted(c); });
  if (inner_) {
    run_for_callgrind();
    return 0;
  }
  for (one& c : cases_) {
    calibrate(c);
    count(c);
  }
  const bool any_once = std::any_of(cases_.begin(), cases_.end(), [](const one& c) { return bool(c.once); });
  const int rounds = any_once ? rounds_of_long_calls_ : rounds_;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      measure(cases_[(i + static_cast<std::size_t>(round)) % cases_.size()]);  // no one always follows the same one
    }
  }
  if (!counter().works()) count_under_callgrind();
  compute_ratios();
  print();
  if (!json_.empty()) write_json();
  return 0;
}

// ── instructions by callgrind: this program once more, every case between two dumps ──────────────────────────────────

void suite::run_for_callgrind() {
  constexpr std::size_t turns = 2'000;
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    one& c = cases_[i];
    if (!c.counted) continue;
    std::map<std::string, double> own;
    const auto run = [&](std::size_t n) { c.body ? c.body(n) : c.once(n, own); };
    run(turns);  // warm
    // The difference of two runs leaves out what starts and ends them.
    for (const std::size_t n : {turns, 2 * turns}) {
      CALLGRIND_ZERO_STATS;
      run(n);
      CALLGRIND_DUMP_STATS_AT((std::to_string(i) + "/" + std::to_string(n)).c_str());
    }
  }
}

void suite::count_under_callgrind() {
  if (std::none_of(cases_.begin(), cases_.end(), [](const one& c) { return c.counted; })) return;
  if (std::system("command -v valgrind >/dev/null 2>&1") != 0) return;
  std::array<char, 32> folder{"/tmp/again-bench-XXXXXX"};
  if (mkdtemp(folder.data()) == nullptr) return;
  const std::string dumps = std::string{folder.data()} + "/dump";
  std::string command = "valgrind --tool=callgrind --callgrind-out-file=" + dumps + " " + program_ + " --for-callgrind";
  if (!only_.empty()) command += " --only '" + only_ + "'";
  command += " >/dev/null 2>&1";
  if (std::system(command.c_str()) == 0) {
    std::map<std::pair<std::size_t, std::size_t>, double> totals;
    for (int part = 1;; ++part) {
      std::ifstream in{dumps + "." + std::to_string(part)};
      if (!in) break;
      std::size_t index = 0;
      std::size_t n = 0;
      for (std::string line; std::getline(in, line);) {
        constexpr std::string_view trigger = "desc: Trigger: Client Request: ";
        if (line.starts_with(trigger)) {
          std::sscanf(line.c_str() + trigger.size(), "%zu/%zu", &index, &n);
        } else if (line.starts_with("summary: ") || line.starts_with("totals: ")) {
          totals[{index, n}] = std::strtod(line.c_str() + line.find(' '), nullptr);
        }
      }
    }
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      std::vector<std::pair<std::size_t, double>> both;
      for (const auto& [key, total] : totals) {
        if (key.first == i && key.second != 0) both.emplace_back(key.second, total);
      }
      if (both.size() == 2) {
        cases_[i].series["instructions"] = {(both[1].second - both[0].second) /
                                            static_cast<double>(both[1].first - both[0].first)};
      }
    }
  }
  if (std::system(("rm -rf " + std::string{folder.data()}).c_str()) != 0) return;
}

// ── what people and programs read ────────────────────────────────────────────────────────────────────────────────────

// Round by round, so that a disturbance that hits both sides of a ratio cancels.
std::vector<double> suite::values(const goal& g) const {
  const one* const ours = find(g.group, g.who);
  if (ours == nullptr) return {};
  const std::vector<double>* const top = series_of(ours->series, g.metric);
  if (top == nullptr) return {};
  std::vector<double> result = *top;
  const auto combine = [&](const std::string& group, const std::string& who, auto&& f) {
    const one* const other = find(group.empty() ? g.group : group, who);
    const std::vector<double>* const values = other == nullptr ? nullptr : series_of(other->series, g.metric);
    if (values == nullptr) {
      result.clear();
      return;
    }
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] = f(result[i], (*values)[std::min(i, values->size() - 1)]);
  };
  if (!g.minus.empty()) combine(g.minus_group, g.minus, [](double a, double b) { return a - b; });
  if (!g.against.empty())
    combine(g.against_group, g.against, [](double a, double b) { return b == 0 ? (a == 0 ? 1 : 1e9) : a / b; });
  for (double& v : result) v /= g.per;
  return result;
}

void suite::print() const {
  std::printf("\n== %s == %s%s; %s; %s; %u threads\n", topic_.c_str(), compiler().c_str(),
              BENCH_FLAGS[0] ? ", " BENCH_FLAGS : "", first_line_of("/proc/cpuinfo", "model name").c_str(),
              first_line_of("/etc/os-release", "PRETTY_NAME").c_str(), std::thread::hardware_concurrency());
  std::printf("%-34s %-30s %9s %9s %7s %8s %9s %8s\n", "", "", "ns", "least", "spread", "allocs", "bytes", "instr");
  std::string last;
  for (const one& c : cases_) {
    std::printf("%-34s %-30s", c.group == last ? "" : c.group.c_str(), c.who.c_str());
    last = c.group;
    const auto* const ns = series_of(c.series, "ns");
    if (ns != nullptr) {
      const double median = quantile(*ns, 0.5);
      std::printf(" %9s %9s %6.0f%%", shown(median).c_str(), shown(quantile(*ns, 0)).c_str(),
                  100 * (quantile(*ns, 0.75) - quantile(*ns, 0.25)) / median);
      for (const char* metric : {"allocations", "bytes", "instructions"}) {
        const auto* const v = series_of(c.series, metric);
        const double value = v == nullptr ? std::nan("") : quantile(*v, 0.5);
        std::printf(" %*s", metric[0] == 'b' ? 9 : 8, v == nullptr ? "-" : shown(value < 0.005 ? 0 : value).c_str());
      }
    }
    for (const auto& [metric, series] : c.series) {
      if (metric != "ns" && metric != "allocations" && metric != "bytes" && metric != "instructions") {
        std::printf("  %s %s", metric.c_str(), shown(quantile(series, 0.5)).c_str());
      }
    }
    std::printf("\n");
  }
  for (const goal& g : goals_) {
    const std::vector<double> v = values(g);
    if (v.empty()) continue;
    const double median = quantile(v, 0.5);
    const bool met = g.at_least ? median >= g.limit : median <= g.limit + 0.001;
    std::printf("  %s  %s: %s (%s %s)\n", met ? "met   " : "MISSED", g.text.c_str(), shown(median).c_str(),
                g.at_least ? ">=" : "<=", shown(g.limit).c_str());
  }
  for (const std::string& sentence : notes_) std::printf("  %s\n", sentence.c_str());
  std::fflush(stdout);
}

void suite::write_json() const {
  std::ofstream out{json_, std::ios::app};
  const std::string head = "{\"topic\":\"" + escaped(topic_) + "\",";
  out << head << "\"kind\":\"run\",\"compiler\":\"" << escaped(compiler()) << "\",\"flags\":\"" << escaped(BENCH_FLAGS)
      << "\",\"cpu\":\"" << escaped(first_line_of("/proc/cpuinfo", "model name"))
      << "\",\"threads\":" << std::thread::hardware_concurrency() << ",\"system\":\""
      << escaped(first_line_of("/etc/os-release", "PRETTY_NAME")) << "\",\"date\":\"" << today()
      << "\",\"quick\":" << (quick_ ? "true" : "false") << "}\n";
  for (const one& c : cases_) {
    out << head << "\"kind\":\"case\",\"group\":\"" << escaped(c.group) << "\",\"who\":\"" << escaped(c.who)
        << "\",\"n\":" << c.n << ",\"rounds\":" << (c.series.contains("ns") ? c.series.at("ns").size() : 1);
    for (const auto& [metric, series] : c.series) {
      out << ",\"" << escaped(metric) << "\":" << number(quantile(series, 0.5));
      if (series.size() > 1) {
        out << ",\"" << escaped(metric) << "_least\":" << number(quantile(series, 0)) << ",\"" << escaped(metric)
            << "_iqr\":" << number(quantile(series, 0.75) - quantile(series, 0.25));
      }
    }
    out << "}\n";
  }
  for (const goal& g : goals_) {
    const std::vector<double> v = values(g);
    if (v.empty()) continue;
    const double median = quantile(v, 0.5);
    out << head << "\"kind\":\"goal\",\"text\":\"" << escaped(g.text) << "\",\"value\":" << number(median)
        << ",\"limit\":" << number(g.limit) << ",\"at_least\":" << (g.at_least ? "true" : "false")
        << ",\"met\":" << ((g.at_least ? median >= g.limit : median <= g.limit + 0.001) ? "true" : "false") << "}\n";
  }
  for (const std::string& sentence : notes_)
    out << head << "\"kind\":\"note\",\"text\":\"" << escaped(sentence) << "\"}\n";
}

}  // namespace bench
