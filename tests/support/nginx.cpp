// SPDX-License-Identifier: MIT
#include "nginx.hpp"

#include "certificates.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace again_test {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

/// Ports that are free now, all different.
void free_ports(int (&ports)[3]) {
  int sockets[3];
  for (int i = 0; i < 3; ++i) {
    sockets[i] = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in a = loopback(0);
    socklen_t size = sizeof a;
    auto* const address = reinterpret_cast<sockaddr*>(&a);
    if (::bind(sockets[i], address, size) != 0 || ::getsockname(sockets[i], address, &size) != 0)
      throw std::runtime_error{"no free port"};
    ports[i] = ntohs(a.sin_port);
  }
  for (const int s : sockets) ::close(s);
}

bool listens(int port) {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in a = loopback(port);
  const bool yes = ::connect(s, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
  ::close(s);
  return yes;
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream in{path};
  return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace

nginx::nginx(std::string program, const std::string& http, const std::string& server) : program_{std::move(program)} {
  std::string name = (std::filesystem::temp_directory_path() / "again-nginx-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"no temporary directory"};
  folder_ = name;
  free_ports(ports_);
  const certificates& shown = certificates::shared();
  std::ofstream conf{folder_ / "nginx.conf"};
  conf << "daemon off; master_process off; pid nginx.pid; error_log error.log notice;\n"
       << "events { worker_connections 512; }\n"
       << "http {\n  log_format seen '$request_method $request_uri $status'; access_log access.log seen;\n";
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
    conf << "  " << kind << "_temp_path " << kind << ";\n";
  conf << "  ssl_certificate " << shown.certificate_file(certificate::trusted).string() << ";\n"
       << "  ssl_certificate_key " << shown.key_file(certificate::trusted).string() << ";\n"
       << http << '\n'
       << "  server { listen 127.0.0.1:" << ports_[0] << ";\n"
       << server << "  }\n"
       << "  server { listen 127.0.0.1:" << ports_[1] << " ssl; ssl_protocols TLSv1.2;\n"
       << server << "  }\n"
       << "  server { listen 127.0.0.1:" << ports_[2] << " ssl; ssl_protocols TLSv1.3;\n"
       << server << "  }\n}\n";
  conf.close();
  start();
}

nginx::~nginx() {
  end(SIGKILL);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string nginx::url() const { return "http://127.0.0.1:" + std::to_string(ports_[0]); }
std::string nginx::tls_1_2_url() const { return "https://127.0.0.1:" + std::to_string(ports_[1]); }
std::string nginx::tls_1_3_url() const { return "https://127.0.0.1:" + std::to_string(ports_[2]); }

void nginx::start() {
  const std::string prefix = folder_.string() + "/", conf = (folder_ / "nginx.conf").string(),
                    errors = (folder_ / "error.log").string();
  process_ = ::fork();
  if (process_ == 0) {  // only what is safe between fork and exec
    const int nowhere = ::open("/dev/null", O_RDWR);
    ::dup2(nowhere, 0);
    ::dup2(nowhere, 1);
    const int complaints = ::open(errors.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(complaints, 2);
    ::execl(program_.c_str(), "nginx", "-p", prefix.c_str(), "-c", conf.c_str(), "-e", errors.c_str(),
            static_cast<char*>(nullptr));
    ::_exit(127);
  }
  if (process_ < 0) throw std::runtime_error{"no process for nginx"};
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (!std::all_of(std::begin(ports_), std::end(ports_), listens)) {
    int status = 0;
    const bool gone = ::waitpid(process_, &status, WNOHANG) == process_;
    if (gone) process_ = -1;
    if (gone || std::chrono::steady_clock::now() > until)
      throw std::runtime_error{"nginx did not start: " + contents(errors)};
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
}

void nginx::kill() { end(SIGTERM); }
void nginx::quit() { end(SIGQUIT); }

void nginx::end(int signal) {
  if (process_ < 0) return;
  ::kill(process_, signal);
  ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

bool nginx::wait_until_all_closed() const {
  for (int turn = 0; turn < 10'000; ++turn) {
    std::ifstream table{"/proc/net/tcp"};  // sl local_address rem_address st …, in hexadecimal
    bool open = false;
    std::string line;
    std::getline(table, line);
    while (std::getline(table, line)) {
      std::istringstream words{line};
      std::string number, local, remote, state;
      words >> number >> local >> remote >> state;
      const auto port = std::stoi(local.substr(local.find(':') + 1), nullptr, 16);
      open = open || (state == "01" && std::find(std::begin(ports_), std::end(ports_), port) != std::end(ports_));
    }
    if (!open) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return false;
}

std::vector<std::string> nginx::log() const {
  std::vector<std::string> lines;
  std::ifstream in{folder_ / "access.log"};
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::size_t nginx::logged(std::string_view line) const {
  const auto all = log();
  return static_cast<std::size_t>(std::count(all.begin(), all.end(), line));
}

}  // namespace again_test
