// SPDX-License-Identifier: MIT
// The last responses of endpoints, served over HTTP: GET /export?type=peek|poll&pageNum=&pageSize=.
#pragma once

#include "options.hpp"
#include "outcome.hpp"

#include <again/sink/delivery.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace programs {

/// Keeps the last responses. Any thread may call it.
class responses {
 public:
  static constexpr std::size_t longest_body = std::size_t{16} << 10U;  ///< bytes kept of each response
  static constexpr std::size_t largest_page = 1000;

  /// At most `most` responses and `most_bytes` bytes are kept; the oldest are dropped.
  explicit responses(std::size_t most, std::size_t most_bytes = std::size_t{16} << 20U)
      : most_{most}, most_bytes_{most_bytes} {}

  void keep(const again::delivery& d) {
    const auto now =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    for (const again::endpoint_outcome& o : d.outcomes) {
      json j;
      j["id"] = d.event.id;
      j["endpoint"] = o.endpoint;
      j["ok"] = o.result.has_value();
      const again::http::error* const last = o.result ? nullptr : o.result.error().error();
      const again::http::response* const response = o.result          ? &*o.result
                                                    : last != nullptr ? last->response()
                                                                      : nullptr;
      j["reason"] = o.result ? json(nullptr) : json(std::string{name(o.result.error().reason())});
      j["status"] = or_null(response != nullptr, response != nullptr ? response->status : 0);
      j["content_type"] =
          response != nullptr ? json(std::string{response->headers.get("Content-Type")}) : json(nullptr);
      j["body"] = response != nullptr ? json(response->body.substr(0, longest_body)) : json(nullptr);
      j["body_bytes"] = response != nullptr ? response->body.size() : 0;
      j["attempts"] = o.attempts;
      j["at_ms"] = now;
      std::string text = one_line(j);
      const std::lock_guard lock{mutex_};
      bytes_ += text.size();
      kept_.push_back(std::move(text));
      while (kept_.size() > most_ || (bytes_ > most_bytes_ && kept_.size() > 1)) {
        bytes_ -= kept_.front().size();
        kept_.pop_front();
      }
    }
  }

  struct page {
    int status = 200;
    std::string body;
  };
  /// The response to GET /export: 204 if nothing is kept, 400 with a reason if a parameter is wrong. `poll` removes the items.
  page get(const std::optional<std::string>& type, const std::optional<std::string>& number,
           const std::optional<std::string>& size) {
    const auto bad = [](std::string_view parameter, std::string_view why) {
      json j;
      j["error"] = std::string{parameter} + ": " + std::string{why};
      return page{400, one_line(j)};
    };
    if (type && *type != "peek" && *type != "poll") return bad("type", "neither peek nor poll");
    const auto n = number ? whole_number<std::size_t>(*number) : 1;
    if (!n || *n < 1) return bad("pageNum", "not a whole number of at least 1");
    const auto each = size ? whole_number<std::size_t>(*size) : 10;
    if (!each || *each < 1 || *each > largest_page) return bad("pageSize", "not a whole number from 1 to 1000");

    const std::lock_guard lock{mutex_};
    const std::size_t total = kept_.size();
    if (*n - 1 > total / *each) return {204, {}};
    const auto first = kept_.begin() + static_cast<std::ptrdiff_t>(std::min((*n - 1) * *each, total));
    const auto last =
        first + static_cast<std::ptrdiff_t>(std::min(*each, static_cast<std::size_t>(kept_.end() - first)));
    if (first == last) return {204, {}};
    std::string items;
    for (auto item = first; item != last; ++item) items.append(items.empty() ? "" : ",").append(*item);
    if (type == "poll") {
      for (auto item = first; item != last; ++item) bytes_ -= item->size();
      kept_.erase(first, last);
    }
    return {200,
            fmt::format("{{\"pageNum\":{},\"pageSize\":{},\"total\":{},\"items\":[{}]}}", *n, *each, total, items)};
  }

 private:
  std::size_t most_, most_bytes_;
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::deque<std::string> kept_;
};

}  // namespace programs
