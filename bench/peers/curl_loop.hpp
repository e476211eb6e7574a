// SPDX-License-Identifier: MIT
/// \file
/// libcurl's multi interface over epoll: `curl_multi_socket_action` is called for each socket that epoll reports, and when libcurl's timer
/// is over. That is the interface which libcurl's documentation names for many transfers; `curl_multi_poll` looks at all of them each time.
#pragma once

#include "../requests.hpp"

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include <curl/curl.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace bench {

/// Threads: one. Handles are removed by their owner in `finished`, or outlive the loop.
class curl_loop {
 public:
  /// `connections`: how many are kept open.
  explicit curl_loop(std::size_t connections) {
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(connections));
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &curl_loop::watch);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &curl_loop::set_alarm);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  }
  curl_loop(const curl_loop&) = delete;
  curl_loop& operator=(const curl_loop&) = delete;
  ~curl_loop() {
    curl_multi_cleanup(multi_);
    ::close(epoll_);
  }

  void add(CURL* handle) {
    ++under_way_;
    curl_multi_add_handle(multi_, handle);
  }

  /// Until no transfer is under way. `finished(handle, result)` may add handles again.
  template <class F> void run(F&& finished) {
    while (under_way_ > 0) {
      step();
      int queued = 0;
      while (CURLMsg* const m = curl_multi_info_read(multi_, &queued)) {
        CURL* const handle = m->easy_handle;
        const CURLcode result = m->data.result;
        curl_multi_remove_handle(multi_, handle);
        --under_way_;
        finished(handle, result);
      }
    }
  }

 private:
  // Waits for sockets or for the alarm, and lets libcurl act.
  void step() {
    int wait_ms = -1;
    if (alarm_ >= 0) {
      const double left = alarm_ - wall_seconds();
      wait_ms = left > 0 ? static_cast<int>(std::ceil(1e3 * left)) : 0;
    }
    std::array<epoll_event, 256> ready{};
    const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), wait_ms);
    int running = 0;
    for (int i = 0; i < count; ++i) {
      const epoll_event& e = ready[static_cast<std::size_t>(i)];
      int what = 0;
      if ((e.events & EPOLLIN) != 0) what |= CURL_CSELECT_IN;
      if ((e.events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
      if ((e.events & (EPOLLERR | EPOLLHUP)) != 0) what |= CURL_CSELECT_ERR;
      curl_multi_socket_action(multi_, e.data.fd, what, &running);
    }
    if (alarm_ >= 0 && wall_seconds() >= alarm_) {
      alarm_ = -1;
      curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
    }
  }
  // libcurl says what it waits for on a socket.
  static int watch(CURL*, curl_socket_t socket, int what, void* self, void*) {
    curl_loop& loop = *static_cast<curl_loop*>(self);
    const auto at = static_cast<std::size_t>(socket);
    if (loop.watched_.size() <= at) loop.watched_.resize(at + 1);
    epoll_event e{};
    e.data.fd = socket;
    if ((what & CURL_POLL_IN) != 0) e.events |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0) e.events |= EPOLLOUT;
    const bool watched = loop.watched_[at];
    loop.watched_[at] = what != CURL_POLL_REMOVE;
    if (what == CURL_POLL_REMOVE) {
      if (watched) ::epoll_ctl(loop.epoll_, EPOLL_CTL_DEL, socket, nullptr);
    } else if (::epoll_ctl(loop.epoll_, watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &e) != 0) {
      return -1;
    }
    return 0;
  }
  static int set_alarm(CURLM*, long after_ms, void* self) {
    static_cast<curl_loop*>(self)->alarm_ = after_ms < 0 ? -1 : wall_seconds() + 1e-3 * static_cast<double>(after_ms);
    return 0;
  }

  CURLM* multi_ = curl_multi_init();
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  double alarm_ = -1;  // on wall_seconds; negative: none
  std::size_t under_way_ = 0;
  std::vector<bool> watched_;  // by descriptor
};

}  // namespace bench
