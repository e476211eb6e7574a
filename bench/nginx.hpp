// SPDX-License-Identifier: MIT
/// \file
/// An nginx with one worker and a folder of its own, for the topics over HTTP: GET /quote gives a kilobyte, POST /orders takes
/// anything; connections are kept.
#pragma once

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "requests.hpp"

#include <httplib.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

using namespace std::chrono_literals;

inline constexpr std::size_t body_size = 1024;

// ── the server: nginx with one worker, in a folder of its own ────────────────────────────────────────────────────────

inline int free_port() {
  const int s = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::bind(s, reinterpret_cast<sockaddr*>(&a), sizeof a);
  socklen_t size = sizeof a;
  ::getsockname(s, reinterpret_cast<sockaddr*>(&a), &size);
  ::close(s);
  return ntohs(a.sin_port);
}

class nginx {
 public:
  nginx() {
    char name[] = "/tmp/again-bench-XXXXXX";
    if (::mkdtemp(name) == nullptr) return;
    folder_ = name;
    port_ = free_port();
    std::ofstream{folder_ + "/quote"} << std::string(body_size, 'x');
    std::ofstream{folder_ + "/nginx.conf"}
        << "daemon off; pid " << folder_ << "/pid; worker_processes 1; error_log " << folder_ << "/error.log;\n"
        << (::geteuid() == 0 ? "user root;\n" : "")
        << "events { worker_connections 4096; }\nhttp { access_log off; keepalive_requests 100000000; "
           "keepalive_timeout 3600;\n"
        << "client_body_temp_path " << folder_ << "/t1; proxy_temp_path " << folder_ << "/t2; fastcgi_temp_path "
        << folder_ << "/t3; uwsgi_temp_path " << folder_ << "/t4; scgi_temp_path " << folder_
        << "/t5;\n open_file_cache max=16;\nserver { listen 127.0.0.1:" << port_ << " backlog=4096; root " << folder_
        << "; location /orders { return 200 taken; } } }\n";
    child_ = ::fork();
    if (child_ == 0) {
      if (std::freopen("/dev/null", "w", stderr) == nullptr) std::_Exit(1);
      ::execlp("nginx", "nginx", "-p", folder_.c_str(), "-c", (folder_ + "/nginx.conf").c_str(),
               static_cast<char*>(nullptr));
      ::execl("/usr/sbin/nginx", "nginx", "-p", folder_.c_str(), "-c", (folder_ + "/nginx.conf").c_str(),
              static_cast<char*>(nullptr));
      std::_Exit(127);
    }
    for (int i = 0; i < 100 && !up_; ++i) {
      std::this_thread::sleep_for(20ms);
      httplib::Client probe{"127.0.0.1", port_};
      const auto response = probe.Get("/quote");
      up_ = response && response->status == 200 && response->body.size() == body_size;
    }
  }
  nginx(const nginx&) = delete;
  nginx& operator=(const nginx&) = delete;
  ~nginx() {
    if (child_ > 0) {
      ::kill(child_, SIGQUIT);
      ::kill(child_, SIGTERM);
      ::waitpid(child_, nullptr, 0);
    }
    if (!folder_.empty() && std::system(("rm -rf " + folder_).c_str()) != 0) return;
  }
  [[nodiscard]] bool up() const noexcept { return up_; }
  [[nodiscard]] int port() const noexcept { return port_; }
  /// GET /quote.
  [[nodiscard]] target quote() const { return {.port = port_, .path = "/quote", .body = body_size}; }

 private:
  std::string folder_;
  int port_ = 0;
  pid_t child_ = -1;
  bool up_ = false;
};

}  // namespace bench
