// SPDX-License-Identifier: MIT
// post-lines URL FILE N: POSTs each line of FILE, N at a time, over libcurl's multi interface. It looks at no line, repeats nothing, and
// prints how many requests had a status of 2xx.
#include "curl_loop.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <curl/curl.h>

namespace {

std::size_t ignored(char*, std::size_t size, std::size_t count, void*) { return size * count; }

struct post {
  CURL* handle = curl_easy_init();
  std::string line;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "post-lines URL FILE N\n");
    return 2;
  }
  std::ifstream input{argv[2]};
  const auto flights = static_cast<std::size_t>(std::strtoul(argv[3], nullptr, 10));
  curl_global_init(CURL_GLOBAL_DEFAULT);
  curl_slist* const fields = curl_slist_append(nullptr, "Content-Type: application/cloudevents+json");
  std::size_t delivered = 0, failed = 0;
  {
    bench::curl_loop loop{flights};
    std::vector<std::unique_ptr<post>> posts;
    const auto start = [&](post& p) {
      if (!std::getline(input, p.line)) return;
      curl_easy_setopt(p.handle, CURLOPT_POSTFIELDSIZE, static_cast<long>(p.line.size()));
      curl_easy_setopt(p.handle, CURLOPT_POSTFIELDS, p.line.c_str());
      loop.add(p.handle);
    };
    for (std::size_t i = 0; i < flights; ++i) {
      posts.push_back(std::make_unique<post>());
      post& p = *posts.back();
      curl_easy_setopt(p.handle, CURLOPT_URL, argv[1]);
      curl_easy_setopt(p.handle, CURLOPT_HTTPHEADER, fields);
      curl_easy_setopt(p.handle, CURLOPT_WRITEFUNCTION, &ignored);
      curl_easy_setopt(p.handle, CURLOPT_PRIVATE, &p);
      curl_easy_setopt(p.handle, CURLOPT_NOSIGNAL, 1L);
      start(p);
    }
    loop.run([&](CURL* handle, CURLcode result) {
      long status = 0;
      curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
      ++(result == CURLE_OK && status / 100 == 2 ? delivered : failed);
      void* p = nullptr;
      curl_easy_getinfo(handle, CURLINFO_PRIVATE, &p);
      start(*static_cast<post*>(p));
    });
    for (const auto& p : posts) curl_easy_cleanup(p->handle);
  }
  curl_slist_free_all(fields);
  curl_global_cleanup();
  std::printf("%zu\n", delivered);
  return failed == 0 && delivered > 0 ? 0 : 1;
}
