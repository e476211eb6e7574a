// SPDX-License-Identifier: MIT
// Requests of 1 KiB over kept connections to an nginx on the same machine: again over cpp-httplib beside bare cpp-httplib in as
// many threads, libcurl, and Boost.Asio by hand. Client and server share the processors: compare CPU time before throughput.
#include "harness.hpp"
#include "nginx.hpp"

#include <again/coro/scope.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/http.hpp>
#include <again/retry.hpp>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <curl/curl.h>
#include <httplib.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

using bench::body_size;
using bench::lost;
using bench::nginx;
using bench::part;
using bench::timed_requests;

// ── bare cpp-httplib: a thread for each connection ───────────────────────────────────────────────────────────────────

class bare_httplib {
 public:
  bare_httplib(int port, std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) {
      clients_.push_back(std::make_unique<httplib::Client>("127.0.0.1", port));
      clients_.back()->set_keep_alive(true);
      clients_.back()->set_tcp_nodelay(true);
    }
  }
  void operator()(std::size_t n) {
    std::vector<std::thread> all;
    for (std::size_t t = 0; t < clients_.size(); ++t) {
      all.emplace_back([&client = *clients_[t], left = part(n, clients_.size(), t)]() mutable {
        for (; left > 0; --left) {
          const auto response = client.Get("/quote");
          if (!response || response->body.size() != body_size) lost();
        }
      });
    }
    for (std::thread& t : all) t.join();
  }

 private:
  std::vector<std::unique_ptr<httplib::Client>> clients_;
};

// ── again: as many coroutines on one thread, as many workers ─────────────────────────────────────────────────────────

constexpr again::checked_policy usual{again::policy{}};

again::task<> sends(again::http::client& api, std::size_t left, bool retried) {
  for (; left > 0; --left) {
    if (retried) {
      const auto response = co_await again::retry(usual, api.get("/quote"));
      if (!response || response->body.size() != body_size) lost();
    } else {
      const auto response = co_await api.get("/quote");
      if (!response || response->body.size() != body_size) lost();
    }
  }
}
again::task<> in_flight(again::http::client& api, std::size_t n, std::size_t flights, bool retried) {
  again::scope all{co_await again::get_context()};
  for (std::size_t i = 0; i < flights; ++i) all.spawn(sends(api, part(n, flights, i), retried));
  co_await all.join();
}

// ── libcurl ──────────────────────────────────────────────────────────────────────────────────────────────────────────

std::size_t take(char*, std::size_t size, std::size_t count, void* total) {
  *static_cast<std::size_t*>(total) += size * count;
  return size * count;
}
struct easy_handle {
  CURL* handle = curl_easy_init();
  std::size_t received = 0;
  explicit easy_handle(const std::string& url) {
    curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &take);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &received);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  }
  easy_handle(const easy_handle&) = delete;
  easy_handle& operator=(const easy_handle&) = delete;
  ~easy_handle() { curl_easy_cleanup(handle); }
};

class curl_threads {
 public:
  curl_threads(const std::string& url, std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) handles_.push_back(std::make_unique<easy_handle>(url));
  }
  void operator()(std::size_t n) {
    std::vector<std::thread> all;
    for (std::size_t t = 0; t < handles_.size(); ++t) {
      all.emplace_back([&h = *handles_[t], left = part(n, handles_.size(), t)]() mutable {
        for (; left > 0; --left) {
          h.received = 0;
          if (curl_easy_perform(h.handle) != CURLE_OK || h.received != body_size) lost();
        }
      });
    }
    for (std::thread& t : all) t.join();
  }

 private:
  std::vector<std::unique_ptr<easy_handle>> handles_;
};

class curl_one_thread {
 public:
  curl_one_thread(const std::string& url, std::size_t flights) {
    for (std::size_t i = 0; i < flights; ++i) {
      handles_.push_back(std::make_unique<easy_handle>(url));
      curl_easy_setopt(handles_.back()->handle, CURLOPT_PRIVATE, handles_.back().get());
    }
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(flights));
  }
  curl_one_thread(const curl_one_thread&) = delete;
  curl_one_thread& operator=(const curl_one_thread&) = delete;
  ~curl_one_thread() {
    handles_.clear();
    curl_multi_cleanup(multi_);
  }
  void operator()(std::size_t n) {
    std::size_t to_start = n;
    std::size_t left = n;
    const auto start = [&](easy_handle& h) {
      --to_start;
      h.received = 0;
      curl_multi_add_handle(multi_, h.handle);
    };
    for (const auto& h : handles_) {
      if (to_start > 0) start(*h);
    }
    while (left > 0) {
      int running = 0;
      curl_multi_perform(multi_, &running);
      int queued = 0;
      while (CURLMsg* const m = curl_multi_info_read(multi_, &queued)) {
        CURL* const handle = m->easy_handle;
        void* p = nullptr;
        curl_easy_getinfo(handle, CURLINFO_PRIVATE, &p);
        easy_handle& h = *static_cast<easy_handle*>(p);
        if (m->data.result != CURLE_OK || h.received != body_size) lost();
        curl_multi_remove_handle(multi_, handle);
        --left;
        if (to_start > 0) start(h);
      }
      if (left > 0) curl_multi_poll(multi_, nullptr, 0, 1000, nullptr);
    }
  }

 private:
  CURLM* multi_ = curl_multi_init();
  std::vector<std::unique_ptr<easy_handle>> handles_;
};

// ── Boost.Asio by hand: knows just enough HTTP for this one response ───────────────────────────────────────────────────

class asio_by_hand {
 public:
  asio_by_hand(int port, std::size_t flights) {
    for (std::size_t i = 0; i < flights; ++i) {
      sockets_.emplace_back(loop_);
      sockets_.back().connect({asio::ip::address_v4::loopback(), static_cast<unsigned short>(port)});
      sockets_.back().set_option(asio::ip::tcp::no_delay{true});
    }
  }
  void operator()(std::size_t n) {
    for (std::size_t i = 0; i < sockets_.size(); ++i)
      asio::co_spawn(loop_, sends(sockets_[i], part(n, sockets_.size(), i)), asio::detached);
    loop_.restart();
    loop_.run();
  }

 private:
  static asio::awaitable<void> sends(asio::ip::tcp::socket& socket, std::size_t left) {
    static const std::string request = "GET /quote HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    std::string response;
    for (; left > 0; --left) {
      co_await asio::async_write(socket, asio::buffer(request), asio::use_awaitable);
      response.clear();
      const std::size_t head =
          co_await asio::async_read_until(socket, asio::dynamic_buffer(response), "\r\n\r\n", asio::use_awaitable);
      const std::size_t missing = head + body_size > response.size() ? head + body_size - response.size() : 0;
      if (missing > 0) {
        std::string rest(missing, '\0');
        co_await asio::async_read(socket, asio::buffer(rest), asio::use_awaitable);
      }
      if (!response.starts_with("HTTP/1.1 200")) lost();
    }
  }
  asio::io_context loop_{1};
  std::vector<asio::ip::tcp::socket> sockets_;
};

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  bench::suite s{"http", argc, argv};
  const nginx server;
  if (!server.up()) {
    std::printf("\n== http == left out: nginx does not start (install nginx-light)\n");
    return 0;
  }
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::string origin = "http://127.0.0.1:" + std::to_string(server.port());
  const std::size_t n = s.quick() ? 4'000 : 15'000;

  std::vector<std::unique_ptr<again::http::client>> clients;
  for (const std::size_t flights : {std::size_t{16}, std::size_t{64}}) {
    const std::string group = std::to_string(flights) + " in flight";
    clients.push_back(std::make_unique<again::http::client>(
        origin, again::http::client_options{},
        again::http::httplib_options{.workers = flights, .max_connections = flights}));
    again::http::client& api = *clients.back();
    const auto ours = [&api, flights](bool retried, bool shared) {
      return std::make_shared<std::function<void(std::size_t)>>([&api, flights, retried, shared](std::size_t count) {
        again::run_loop loop;
        loop.share_with_workers(shared);
        again::sync_wait(loop, in_flight(api, count, flights, retried));
      });
    };
    s.add_once(group, "cpp-httplib, threads", n, timed_requests(std::make_shared<bare_httplib>(server.port(), flights)),
               bench::timed_by::wall);
    s.add_once(group, "again::retry", n, timed_requests(ours(true, false)), bench::timed_by::wall);
    s.add_once(group, "again without retry", n, timed_requests(ours(false, false)), bench::timed_by::wall);
    s.add_once(group, "again::retry, shared loop", n, timed_requests(ours(true, true)), bench::timed_by::wall);
    s.add_once(group, "again without retry, shared loop", n, timed_requests(ours(false, true)), bench::timed_by::wall);
    s.add_once(group, "libcurl easy, threads", n,
               timed_requests(std::make_shared<curl_threads>(origin + "/quote", flights)), bench::timed_by::wall);
    s.add_once(group, "libcurl multi, one thread", n,
               timed_requests(std::make_shared<curl_one_thread>(origin + "/quote", flights)), bench::timed_by::wall);
    s.add_once(group, "Boost.Asio by hand, one thread", n,
               timed_requests(std::make_shared<asio_by_hand>(server.port(), flights)), bench::timed_by::wall);

    using goal = bench::suite::goal;
    s.add_goal(goal{.text = group + ", shared loop: throughput / bare cpp-httplib",
                    .group = group,
                    .who = "again::retry, shared loop",
                    .against_group = {},
                    .against = "cpp-httplib, threads",
                    .limit = 0.97,
                    .metric = "krps",
                    .at_least = true});
    s.add_goal(goal{.text = group + ", shared loop: CPU per request / bare cpp-httplib",
                    .group = group,
                    .who = "again::retry, shared loop",
                    .against_group = {},
                    .against = "cpp-httplib, threads",
                    .limit = 1.10,
                    .metric = "cpu_us"});
    s.add_goal(goal{.text = group + ": throughput / bare cpp-httplib",
                    .group = group,
                    .who = "again::retry",
                    .against_group = {},
                    .against = "cpp-httplib, threads",
                    .limit = 0.97,
                    .metric = "krps",
                    .at_least = true});
    s.add_goal(goal{.text = group + ": CPU per request / bare cpp-httplib",
                    .group = group,
                    .who = "again::retry",
                    .against_group = {},
                    .against = "cpp-httplib, threads",
                    .limit = 1.10,
                    .metric = "cpu_us"});
    s.add_goal(goal{.text = group + ": CPU with retry / without",
                    .group = group,
                    .who = "again::retry",
                    .against_group = {},
                    .against = "again without retry",
                    .limit = 1.01,
                    .metric = "cpu_us"});
  }
  s.note("Client and server share the machine's processors; nginx has one worker. ns is wall time per request over all "
         "connections.");
  const int code = s.run();
  return code;
}
