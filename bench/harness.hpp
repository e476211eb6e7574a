// SPDX-License-Identifier: MIT
/// \file
/// What every topic of the benchmarks shares: cases measured side by side in interleaved rounds, so that what disturbs one
/// disturbs its peers as well; ratios are taken round by round. Time is the CPU time of the calling thread unless a case
/// says otherwise; heap allocations and bytes are counted beneath `malloc` in a run of its own, since counting takes time;
/// instructions come from the processor's counter where the kernel allows it, else from callgrind where that is installed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bench {

double wall_seconds() noexcept;     ///< steady clock
double thread_seconds() noexcept;   ///< CPU time of the calling thread
double process_seconds() noexcept;  ///< CPU time of all threads

/// Keeps the compiler from computing a result away.
template <class T> inline void keep(const T& value) noexcept { asm volatile("" : : "r,m"(value) : "memory"); }

/// The share of a sorted or unsorted series below which `q` of it lies.
double quantile(std::vector<double> series, double q);

/// `itself`: the body runs other processes and measures them; nothing of this process is timed or counted.
enum class timed_by { thread, process, wall, itself };

/// A topic: its cases, what is compared, and how it is printed. Options: --quick, --json FILE (appends), --only WORD.
class suite {
 public:
  suite(std::string topic, int argc, char** argv);

  [[nodiscard]] bool quick() const noexcept { return quick_; }

  /// How often each case is measured, in place of 5 times (once where `--quick` is given) for long calls. Many short rounds make steadier
  /// ratios than few long ones on a machine with other work.
  void rounds(int count) noexcept { rounds_of_long_calls_ = count; }

  /// One more competitor in `group`: `body(n)` does the measured thing n times.
  void add(std::string group, std::string who, std::function<void(std::size_t)> body, timed_by how = timed_by::thread);

  /// The same where one call is long: it is called once per round with `n`, and its own figures are kept beside the time. `counted`: its
  /// instructions are counted, too; it runs on one thread.
  void add_once(std::string group, std::string who, std::size_t n,
                std::function<void(std::size_t, std::map<std::string, double>&)> body, timed_by how = timed_by::process,
                bool counted = false);

  /// A figure that is counted and not timed, such as a size.
  void figure(std::string group, std::string who, std::string metric, double value);

  /// What we set out to reach: the median over the rounds of metric(group, who) / metric(against) is at most `limit`. With
  /// an empty `against` the metric itself; `per` divides (by the number of extra attempts, say) after subtracting `minus`.
  /// `at_least` turns it round.
  struct goal {
    std::string text;
    std::string group, who;
    std::string against_group, against;
    double limit = 0;
    std::string metric = "ns";
    bool at_least = false;
    std::string minus_group{}, minus{};
    double per = 1;
  };
  void add_goal(goal g);

  /// A column more for every case of `group`, called `name`: the median over the rounds of its `metric` / that of `against`.
  void add_ratio(std::string name, std::string group, std::string metric, std::string against);

  /// A sentence printed and kept with the results.
  void note(std::string sentence);

  /// Measures everything, prints the table, appends the JSON lines. The exit code of `main`: goals do not count.
  int run();

 private:
  struct one {
    std::string group, who;
    std::function<void(std::size_t)> body;
    std::function<void(std::size_t, std::map<std::string, double>&)> once;
    timed_by how = timed_by::thread;
    bool counted = false;  // its instructions are
    std::size_t n = 1;
    std::map<std::string, std::vector<double>> series;  // metric -> one value per round
  };
  bool wanted(const one& c) const;
  void calibrate(one& c) const;
  void count(one& c) const;
  void compute_ratios();
  void measure(one& c) const;
  void count_under_callgrind();
  void run_for_callgrind();
  struct ratio {
    std::string name, group, metric, against;
  };
  const one* find(const std::string& group, const std::string& who) const;
  std::vector<double> values(const goal& g) const;
  void print() const;
  void write_json() const;

  std::string topic_;
  std::string program_;
  std::string only_;
  std::string json_;
  bool quick_ = false;
  bool inner_ = false;  // we are the copy that runs under callgrind
  int rounds_ = 21, rounds_of_long_calls_ = 5;
  std::vector<one> cases_;
  std::vector<goal> goals_;
  std::vector<ratio> ratios_;
  std::vector<std::string> notes_;
};

}  // namespace bench
