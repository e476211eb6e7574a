// SPDX-License-Identifier: MIT
// The last responses of endpoints, kept for the page /export.
#pragma once

#include "json_writer.hpp"
#include "options.hpp"

#include <again/sink/delivery.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
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
      std::string text;
      json_object j{text};
      j.text("id", d.event.id).text("endpoint", o.endpoint).boolean("ok", o.result.has_value());
      const again::http::error* const last = o.result ? nullptr : o.result.error().error();
      const again::http::response* const response = o.result          ? &*o.result
                                                    : last != nullptr ? last->response()
                                                                      : nullptr;
      j.text_or_null("reason", o.result ? std::string_view{} : name(o.result.error().reason()), !o.result);
      if (response == nullptr) {
        j.null("status").null("content_type").null("body").number("body_bytes", 0);
      } else {
        j.number("status", response->status).text("content_type", response->headers.get("Content-Type"));
        j.text("body", std::string_view{response->body}.substr(0, longest_body));
        j.number("body_bytes", response->body.size());
      }
      j.number("attempts", o.attempts).number("at_ms", now).end();
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
  enum class access : std::uint8_t { look, take };  ///< `take` removes the items that it gives
  /// One page of them: 204 if there is nothing, 400 with a reason if a parameter is wrong.
  page get(access how, const std::optional<std::string>& number, const std::optional<std::string>& size) {
    const auto n = number ? whole_number<std::size_t>(*number) : 1;
    if (!n || *n < 1) return refused(400, "pageNum: not a whole number of at least 1");
    const auto each = size ? whole_number<std::size_t>(*size) : 10;
    if (!each || *each < 1 || *each > largest_page) return refused(400, "pageSize: not a whole number from 1 to 1000");

    const std::lock_guard lock{mutex_};
    const std::size_t total = kept_.size();
    if (*n - 1 > total / *each) return {204, {}};
    const auto first = kept_.begin() + static_cast<std::ptrdiff_t>(std::min((*n - 1) * *each, total));
    const auto last =
        first + static_cast<std::ptrdiff_t>(std::min(*each, static_cast<std::size_t>(kept_.end() - first)));
    if (first == last) return {204, {}};
    std::string items;
    for (auto item = first; item != last; ++item) items.append(items.empty() ? "" : ",").append(*item);
    if (how == access::take) {
      for (auto item = first; item != last; ++item) bytes_ -= item->size();
      kept_.erase(first, last);
    }
    return {200,
            fmt::format("{{\"pageNum\":{},\"pageSize\":{},\"total\":{},\"items\":[{}]}}", *n, *each, total, items)};
  }

  static page refused(int status, std::string_view why) {
    std::string text;
    json_object{text}.text("error", why).end();
    return {status, std::move(text)};
  }

 private:
  std::size_t most_, most_bytes_;
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::deque<std::string> kept_;
};

}  // namespace programs
