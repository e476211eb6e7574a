// SPDX-License-Identifier: MIT
/// \file
/// `resolve`: a look-up that a worker waits for.
#pragma once

#include <again/core/clock.hpp>
#include <again/httplib/detail/cancel_switch.hpp>
#include <again/net/detail/resolver.hpp>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// A thread that waits for a look-up. Its lock is a leaf.
class lookup_wait : public lookup_listener {
 public:
  explicit lookup_wait(lookup& l) noexcept : lookup_{l} {
    changed = [](lookup_listener& self) noexcept { static_cast<lookup_wait&>(self).wake(); };
    lookup_.listen(*this);
  }
  lookup_wait(const lookup_wait&) = delete;
  lookup_wait& operator=(const lookup_wait&) = delete;
  ~lookup_wait() { lookup_.leave(*this); }

  void wake() noexcept {
    const std::lock_guard lock{mutex_};
    news_ = true;
    ready_.notify_all();
  }
  /// False: there was no news until then.
  bool until(std::chrono::steady_clock::time_point when) {
    std::unique_lock lock{mutex_};
    const bool news = ready_.wait_until(lock, when, [this] { return news_; });
    news_ = false;
    return news;
  }

 private:
  lookup& lookup_;
  std::mutex mutex_;
  std::condition_variable ready_;
  bool news_ = false;
};

/// Blocks until there are addresses or a reason, `patience` is at its end, or `stop` is raised.
inline resolved resolve(resolver& names, const std::string& host, duration patience, cancel_switch& stop) {
  if (numeric_address(host)) return resolved{{host}, {}};
  const auto until = std::chrono::steady_clock::now() + patience;
  const std::shared_ptr<lookup> l = names.ask(host);
  if (!l) return resolved{{}, "no thread to look it up", true};
  lookup_wait news{*l};
  const cancel_switch::phase phase{stop,
                                   {[](void* self, cancel_switch::by) noexcept {
                                      static_cast<lookup_wait*>(self)->wake();
                                      return reach::not_sent;
                                    },
                                    &news},
                                   reach::not_sent};
  for (;;) {
    if (auto known = l->outcome(patience)) return std::move(*known);
    if (stop.raised() != cancel_switch::by::none) return resolved{{}, "stopped"};
    if (!news.until(until)) return l->give_up(patience);
  }
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
