// SPDX-License-Identifier: MIT
/// \file
/// A program that is run and measured from outside.
#pragma once

#include "harness.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

/// What a process has taken, at most at a time.
struct child_figures {
  double wall_s = 0;  ///< from its start to its end
  double cpu_s = 0;   ///< of all its threads, in it and in the kernel
  double rss_mib = 0;
  std::size_t threads = 0;      ///< seen by looking now and then
  std::size_t descriptors = 0;  ///< the same
  int status = -1;              ///< as of waitpid
  std::string output;           ///< what it wrote to stdout, if that was asked for
};

/// The number behind `key` in a file like /proc/self/status; 0: it is not there.
inline double number_in(const std::string& file, const std::string& key) {
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(key)) return std::strtod(line.c_str() + key.size(), nullptr);
  }
  return 0;
}

inline std::size_t entries_of(const std::string& folder) {
  std::size_t count = 0;
  if (DIR* const open = ::opendir(folder.c_str())) {
    while (const dirent* const entry = ::readdir(open)) count += entry->d_name[0] != '.';
    ::closedir(open);
  }
  return count;
}

/// Runs a program to its end. `output`: where its stdout goes; empty: into the result. `watched`: its threads and descriptors are counted
/// four times a second, which takes the time of this process.
inline child_figures run_child(const std::vector<std::string>& words, const std::string& output = {},
                               bool watched = false) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);

  child_figures seen;
  const double start = wall_seconds();
  const pid_t child = ::fork();
  if (child == 0) {
    const int out = output.empty() ? ends[1] : ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (output.empty() || out >= 0) ::dup2(out, STDOUT_FILENO);
    ::execv(argv[0], argv.data());
    std::_Exit(127);
  }
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    return {};
  }
  const std::string own = "/proc/" + std::to_string(child);
  for (;;) {
    pollfd readable{.fd = ends[0], .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, watched ? 250 : -1) == 0) {
      seen.threads = std::max(seen.threads, static_cast<std::size_t>(number_in(own + "/status", "Threads:")));
      seen.descriptors = std::max(seen.descriptors, entries_of(own + "/fd"));
      continue;
    }
    std::array<char, 4096> bytes{};
    const ssize_t count = ::read(ends[0], bytes.data(), bytes.size());
    if (count <= 0) break;  // it has ended, or closes what it does not need
    seen.output.append(bytes.data(), static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  rusage used{};
  ::wait4(child, &seen.status, 0, &used);
  seen.wall_s = wall_seconds() - start;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  seen.cpu_s = seconds(used.ru_utime) + seconds(used.ru_stime);
  seen.rss_mib = static_cast<double>(used.ru_maxrss) / 1024;
  return seen;
}

}  // namespace bench
