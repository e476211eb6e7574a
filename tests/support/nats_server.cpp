// SPDX-License-Identifier: MIT
#include "nats_server.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace again_test {
namespace {

std::string program() {
  for (const char* path : {"/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"})
    if (::access(path, X_OK) == 0) return path;
  return {};
}

sockaddr_in loopback(int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}
int free_port() {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a = loopback(0);
  socklen_t size = sizeof a;
  auto* const address = reinterpret_cast<sockaddr*>(&a);
  const bool ok = ::bind(s, address, size) == 0 && ::getsockname(s, address, &size) == 0;
  ::close(s);
  if (!ok) throw std::runtime_error{"no free port"};
  return ntohs(a.sin_port);
}

/// Whether the server greets.
bool greets(int port) {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in a = loopback(port);
  std::array<char, 4> first{};
  const bool yes = ::connect(s, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0 &&
                   ::recv(s, first.data(), first.size(), MSG_WAITALL) == 4 &&
                   std::string_view{first.data(), first.size()} == "INFO";
  ::close(s);
  return yes;
}

}  // namespace

bool nats_server::installed() { return !program().empty(); }

nats_server::nats_server(const std::string& settings) {
  std::string name = (std::filesystem::temp_directory_path() / "again-nats-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"no temporary directory"};
  folder_ = name;
  port_ = free_port();
  std::ofstream conf{folder_ / "nats.conf"};
  conf << "listen: \"" << address() << "\"\nlog_file: \"" << (folder_ / "log").string()
       << "\"\njetstream { store_dir: \"" << (folder_ / "data").string() << "\" }\n"
       << settings << '\n';
  conf.close();
  start();
}

nats_server::~nats_server() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string nats_server::log() const {
  std::ifstream in{folder_ / "log"};
  return {std::istreambuf_iterator<char>{in}, {}};
}

void nats_server::start() {
  const std::string path = program(), conf = (folder_ / "nats.conf").string(), log_file = (folder_ / "log").string();
  process_ = ::fork();
  if (process_ == 0) {  // only what is safe between fork and exec
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nowhere = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1}) ::dup2(nowhere, fd);
    ::dup2(::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), 2);  // what is wrong with its settings
    ::execl(path.c_str(), "nats-server", "-c", conf.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  if (process_ < 0) throw std::runtime_error{"no process for nats-server"};
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (!greets(port_)) {
    int status = 0;
    const bool gone = ::waitpid(process_, &status, WNOHANG) == process_;
    if (gone) process_ = -1;
    if (gone || std::chrono::steady_clock::now() > until) throw std::runtime_error{"nats-server: " + log()};
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
}

void nats_server::kill() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  int status = 0;
  ::waitpid(process_, &status, 0);
  process_ = -1;
}
void nats_server::pause() { ::kill(process_, SIGSTOP); }
void nats_server::resume() { ::kill(process_, SIGCONT); }

}  // namespace again_test
