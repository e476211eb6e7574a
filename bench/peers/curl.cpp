// SPDX-License-Identifier: MIT
#include "peers.hpp"

#include "curl_loop.hpp"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <curl/curl.h>

namespace bench::peers {

namespace {

std::size_t take(char* bytes, std::size_t size, std::size_t count, void* body) {
  static_cast<std::string*>(body)->append(bytes, size * count);
  return size * count;
}

struct easy_handle {
  CURL* handle = curl_easy_init();
  std::string body;
  explicit easy_handle(const target& to) {
    curl_easy_setopt(handle, CURLOPT_URL, (to.origin() + to.path).c_str());
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &take);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(handle, CURLOPT_PRIVATE, this);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  }
  easy_handle(const easy_handle&) = delete;
  easy_handle& operator=(const easy_handle&) = delete;
  ~easy_handle() { curl_easy_cleanup(handle); }
};
using handles = std::vector<std::unique_ptr<easy_handle>>;

handles made(const target& to, std::size_t flights) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) lost();
  handles all;
  for (std::size_t i = 0; i < flights; ++i) all.push_back(std::make_unique<easy_handle>(to));
  return all;
}

class one_thread {
 public:
  one_thread(const target& to, std::size_t flights) : to_{to}, loop_{flights}, handles_{made(to, flights)} {}
  void operator()(std::size_t n) {
    std::size_t to_start = n;
    const auto start = [&](easy_handle& h) {
      --to_start;
      h.body.clear();
      loop_.add(h.handle);
    };
    for (const auto& h : handles_) {
      if (to_start > 0) start(*h);
    }
    loop_.run([&](CURL* handle, CURLcode result) {
      void* p = nullptr;
      curl_easy_getinfo(handle, CURLINFO_PRIVATE, &p);
      easy_handle& h = *static_cast<easy_handle*>(p);
      if (result != CURLE_OK || h.body.size() != to_.body) lost();
      if (to_start > 0) start(h);
    });
  }

 private:
  target to_;
  curl_loop loop_;
  handles handles_;
};

}  // namespace

client curl_threads(const target& to, std::size_t flights) {
  return [all = std::make_shared<handles>(made(to, flights)), to](std::size_t n) {
    std::vector<std::thread> threads;
    threads.reserve(all->size());
    for (std::size_t t = 0; t < all->size(); ++t) {
      threads.emplace_back([&to, &h = *(*all)[t], left = part(n, all->size(), t)]() mutable {
        for (; left > 0; --left) {
          h.body.clear();
          if (curl_easy_perform(h.handle) != CURLE_OK || h.body.size() != to.body) lost();
        }
      });
    }
    for (std::thread& t : threads) t.join();
  };
}

client curl_multi(const target& to, std::size_t flights) {
  return [all = std::make_shared<one_thread>(to, flights)](std::size_t n) { (*all)(n); };
}

}  // namespace bench::peers
