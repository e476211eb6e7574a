// SPDX-License-Identifier: MIT
#include "gate.hpp"

#include "misbehaving_server.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <tuple>

namespace again_test {
namespace {

[[noreturn]] void fail(const std::string& doing) {
  throw std::system_error(errno, std::generic_category(), "misbehaving_server: " + doing);
}

constexpr sock_filter op(int code, std::uint32_t k, std::uint8_t yes = 0, std::uint8_t no = 0) {
  return {static_cast<std::uint16_t>(code), yes, no, k};
}

bool attach(int fd, std::vector<sock_filter> program) {
  const sock_fprog all{static_cast<unsigned short>(program.size()), program.data()};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all) == 0;
}

/// A loopback address of any family, ready for bind().
struct address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  address(family kind, int port, const std::string& path) {
    if (kind == family::ipv4) {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(static_cast<std::uint16_t>(port));
      in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      put(in);
    } else if (kind == family::ipv6) {
      sockaddr_in6 in{};
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(static_cast<std::uint16_t>(port));
      in.sin6_addr = in6addr_loopback;
      put(in);
    } else {
      sockaddr_un un{};
      if (path.empty() || path.size() >= sizeof un.sun_path) {
        throw std::invalid_argument("misbehaving_server: unix_path must have 1 to " +
                                    std::to_string(sizeof un.sun_path - 1) + " bytes, got " +
                                    std::to_string(path.size()));
      }
      un.sun_family = AF_UNIX;
      std::memcpy(un.sun_path, path.data(), path.size());
      put(un);
    }
  }
  template <class T>
  void put(const T& exact) {
    std::memcpy(&storage, &exact, sizeof exact);
    size = sizeof exact;
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

int port_in(const sockaddr_storage& any) {
  sockaddr_in in{};
  std::memcpy(&in, &any, sizeof in);  // the port is at the same place in both families
  return ntohs(in.sin_port);
}

}  // namespace

gate::gate(family kind, int port, std::string unix_path) : kind_(kind), port_(port), unix_path_(std::move(unix_path)) {
  if (kind_ == family::unix_domain) return;
  holder_ = bound_socket();
  sockaddr_storage got{};
  socklen_t size = sizeof got;
  if (::getsockname(holder_, reinterpret_cast<sockaddr*>(&got), &size) != 0) fail("getsockname");
  port_ = port_in(got);
}

gate::~gate() {
  uncrowd();
  if (listener_ >= 0) ::close(listener_);
  if (holder_ >= 0) ::close(holder_);
  unwatch_refusals();
  if (kind_ == family::unix_domain) ::unlink(unix_path_.c_str());
}

int gate::bound_socket() {
  const address where(kind_, port_, unix_path_);
  const int fd = ::socket(where.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail("socket");
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (kind_ == family::unix_domain) ::unlink(unix_path_.c_str());
  if (::bind(fd, where.get(), where.size) != 0) {
    const int why = errno;
    ::close(fd);
    errno = why;
    fail(kind_ == family::unix_domain ? "bind " + unix_path_ : "bind port " + std::to_string(port_));
  }
  return fd;
}

void gate::set(state wanted) {
  if (wanted == state::closed) {
    uncrowd();
    if (listener_ >= 0) ::close(listener_);
    listener_ = -1;
    state_ = wanted;
    return;
  }
  state_ = wanted;
  const bool fresh = listener_ < 0;
  if (fresh) listener_ = bound_socket();
  filter();  // before listen, so that nothing slips in
  const bool crowded = !filters_ && state_ == state::dropping;
  if ((fresh || !filters_) &&
      ::listen(listener_, crowded ? 0 : 1024) != 0) {  // on a listening socket it changes the backlog
    const int why = errno;
    ::close(listener_);
    listener_ = -1;
    errno = why;
    fail("listen");
  }
  if (crowded) {
    crowd();
  } else {
    uncrowd();
  }
}

/// A backlog of 0 holds one connection; one of ours in it, and the kernel drops every further SYN.
void gate::crowd() {
  if (filler_ >= 0) return;
  const address where(kind_, port_, unix_path_);
  filler_ = ::socket(where.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (filler_ < 0) fail("socket");
  std::ignore =
      ::connect(filler_, where.get(), where.size);  // complete at once on loopback, or another client fills the place
  sockaddr_storage here{};
  socklen_t size = sizeof here;
  ::getsockname(filler_, reinterpret_cast<sockaddr*>(&here), &size);
  last_filler_ = static_cast<std::uint16_t>(port_in(here));
}

void gate::uncrowd() noexcept {
  if (filler_ < 0) return;
  const linger at_once{1, 0};
  ::setsockopt(filler_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(filler_);
  filler_ = -1;
}

int gate::accept() noexcept {
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  const int fd = ::accept4(listener_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0 && !filters_) {
    const auto client = static_cast<std::uint16_t>(port_in(from));
    const bool ours = client == last_filler_;
    if (ours) last_filler_ = 0;
    if (ours || std::binary_search(dropped_.begin(), dropped_.end(), client)) {
      const linger at_once{1, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      ::close(fd);
      errno = EAGAIN;
      return -1;
    }
  }
  if (fd >= 0 && kind_ != family::unix_domain) {
    const int yes = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  }
  return fd;
}

void gate::filter() {
  if (kind_ == family::unix_domain || !filters_) return;
  bool good = true;
  if (state_ == state::dropping) {
    good = attach(listener_, {op(BPF_RET | BPF_K, 0)});
  } else if (dropped_.empty()) {
    const int none = 0;
    ::setsockopt(listener_, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);  // ENOENT when there is none
  } else {
    std::vector<sock_filter> program{op(BPF_LD | BPF_H | BPF_ABS, 0)};  // a TCP filter starts at the source port
    for (const std::uint16_t client : dropped_) {
      program.push_back(op(BPF_JMP | BPF_JEQ | BPF_K, client, 0, 1));
      program.push_back(op(BPF_RET | BPF_K, 0));
    }
    program.push_back(op(BPF_RET | BPF_K, 0xffffffffU));
    good = attach(listener_, std::move(program));
  }
  if (!good && errno == EPERM) {
    filters_ = false;  // newer kernels want CAP_NET_ADMIN for it on TCP sockets
  } else if (!good) {
    fail("SO_ATTACH_FILTER for blackhole");
  }
}

void gate::drop(std::vector<std::uint16_t> clients) {
  if (clients == dropped_) return;
  dropped_ = std::move(clients);
  if (listener_ >= 0) filter();
}

std::vector<std::uint16_t> gate::waiting_clients() const {
  std::vector<std::uint16_t> clients;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream in(table);
    std::string line;
    std::getline(in, line);
    while (
        std::getline(in, line)) {  // sl local_address rem_address st ...; addresses are HEX:PORT, state 02 is SYN_SENT
      std::istringstream fields(line);
      std::string number, local, remote, status;
      if (!(fields >> number >> local >> remote >> status) || status != "02") continue;
      const auto port_of = [](const std::string& text) {
        return static_cast<int>(std::strtol(text.c_str() + text.rfind(':') + 1, nullptr, 16));
      };
      if (port_of(remote) == port_ && port_of(local) != last_filler_)
        clients.push_back(static_cast<std::uint16_t>(port_of(local)));
    }
  }
  std::sort(clients.begin(), clients.end());
  return clients;
}

void gate::watch_refusals() {
  if (watching_ || kind_ == family::unix_domain) return;
  watching_ = true;
  const bool v4 = kind_ == family::ipv4;
  const int fd = ::socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (fd < 0) {  // not privileged: the kernel's own count has to do
    failed_before_ = failed_connects();
    return;
  }
  // Only SYNs to our port. A raw IPv4 socket shows the IP header too, a raw IPv6 socket does not.
  std::vector<sock_filter> program;
  const int mode = v4 ? BPF_IND : BPF_ABS;
  if (v4) program.push_back(op(BPF_LDX | BPF_B | BPF_MSH, 0));
  program.push_back(op(BPF_LD | BPF_H | mode, 2));
  program.push_back(op(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(port_), 0, 3));
  program.push_back(op(BPF_LD | BPF_B | mode, 13));
  program.push_back(op(BPF_ALU | BPF_AND | BPF_K, 0x12));
  program.push_back(op(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 1, 0));
  program.push_back(op(BPF_RET | BPF_K, 0));
  program.push_back(op(BPF_RET | BPF_K, 0xffffffffU));
  if (!attach(fd, std::move(program))) {
    ::close(fd);
    failed_before_ = failed_connects();
    return;
  }
  std::array<char, 256> early;  // what came between socket() and the filter
  while (::recv(fd, early.data(), early.size(), 0) > 0) {}
  watch_ = fd;
}

void gate::unwatch_refusals() noexcept {
  if (watch_ >= 0) ::close(watch_);
  watch_ = -1;
  watching_ = false;
}

std::size_t gate::refused() {
  std::size_t count = 0;
  if (watch_ >= 0) {
    std::array<char, 256> packet;
    while (::recv(watch_, packet.data(), packet.size(), 0) > 0) ++count;
  } else if (watching_) {
    const long now = failed_connects();
    count = static_cast<std::size_t>(std::max(0L, now - failed_before_));
    failed_before_ = now;
  }
  return count;
}

long gate::failed_connects() const {
  std::ifstream in("/proc/net/snmp");
  std::string line, names;
  while (std::getline(in, line)) {
    if (line.rfind("Tcp:", 0) != 0) continue;
    if (names.empty()) {
      names = line;
      continue;
    }
    std::istringstream heads(names), values(line);
    std::string head, value;
    while (heads >> head && values >> value) {
      if (head == "AttemptFails") return std::strtol(value.c_str(), nullptr, 10);
    }
  }
  return 0;
}

}  // namespace again_test
