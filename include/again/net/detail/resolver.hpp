// SPDX-License-Identifier: MIT
/// \file
/// `resolver`: names to addresses on a few threads, apart from those that send. A name server that does not respond blocks none of
/// those, and costs each name one look-up at a time, not one for each that waits. Who waits can leave at any moment.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/intrusive_list.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Addresses as numbers, best first, or the reason why there are none.
struct resolved {
  std::vector<std::string> addresses;
  std::string reason;
  bool own_shortage = false;  ///< the reason says nothing of the name
};

/// True for "127.0.0.1" and "::1": nothing to look up.
inline bool numeric_address(const std::string& host) noexcept {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

/// getaddrinfo, blocking for as long as that takes. `family`: AF_UNSPEC, AF_INET or AF_INET6. In the order of RFC 6724.
inline resolved look_up(const std::string& host, int family) {
  ::addrinfo hints{};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  ::addrinfo* found = nullptr;
  resolved out;
  if (const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); failed != 0) {
    out.reason = failed == EAI_SYSTEM ? std::system_category().message(errno) : ::gai_strerror(failed);
    out.own_shortage = failed == EAI_MEMORY || failed == EAI_SYSTEM;
    return out;
  }
  for (const ::addrinfo* a = found; a != nullptr; a = a->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
    bool known = false;
    for (const std::string& other : out.addresses) known = known || other == text;
    if (!known) out.addresses.emplace_back(text);
  }
  ::freeaddrinfo(found);
  if (out.addresses.empty()) out.reason = "no address";
  return out;
}

/// What a failed look-up leaves behind.
struct lookup_memory {
  /// A failure is remembered for as long as its look-up took, and at most so long. A slow one then costs no more than half of the
  /// time, and one that failed at once is tried again at once, as a retry expects.
  duration at_most = std::chrono::seconds{2};
  std::size_t names = 256;  ///< at a time; of more the one that ends first is forgotten
};

/// Who waits for a look-up. Owned by the waiter, who leaves before it dies.
struct lookup_listener {
  /// There is news: ask for the `outcome`. Any thread, under the look-up's lock: notify or post, and return.
  void (*changed)(lookup_listener&) noexcept = nullptr;
  // The look-up's.
  lookup_listener* next = nullptr;
  lookup_listener* previous = nullptr;
};

/// One look-up, shared by all who wait for it. Any thread; its lock is a leaf but for `changed`.
class lookup {
 public:
  explicit lookup(std::string h) : host{std::move(h)} {}

  const std::string host;

  /// What has come of it, if anything: nothing yet is a failure for a waiter with as little patience as another one whose patience
  /// has ended, since the name server is silent to both.
  std::optional<resolved> outcome(duration patience) const {
    const std::lock_guard lock{mutex_};
    if (done_) return result_;
    if (patience <= waited_in_vain_) return silence();
    return std::nullopt;
  }
  void listen(lookup_listener& l) noexcept {
    const std::lock_guard lock{mutex_};
    listeners_.push(l);
  }
  void leave(lookup_listener& l) noexcept {
    const std::lock_guard lock{mutex_};
    listeners_.remove(l);
  }
  /// A waiter's patience has ended.
  resolved give_up(duration patience) {
    const std::lock_guard lock{mutex_};
    if (done_) return result_;
    if (begun_ && patience > waited_in_vain_) {
      waited_in_vain_ = patience;
      tell();
    }
    return silence();
  }

  // The resolver's.
  void begin() noexcept {
    const std::lock_guard lock{mutex_};
    begun_ = true;
  }
  void finish(resolved&& r) noexcept {
    const std::lock_guard lock{mutex_};
    result_ = std::move(r);
    done_ = true;
    tell();
  }

 private:
  static resolved silence() { return resolved{{}, "no response in time"}; }
  void tell() noexcept {
    for (lookup_listener* l = listeners_.front(); l != nullptr;
         l = again::detail::intrusive_list<lookup_listener>::after(*l))
      l->changed(*l);
  }

  mutable std::mutex mutex_;
  bool begun_ = false, done_ = false;
  duration waited_in_vain_{-1};  // the most patience that has ended since it began
  resolved result_;
  again::detail::intrusive_list<lookup_listener> listeners_;
};

/// Bounds: `threads` look-ups run at a time, one per name however many wait for it.
/// Owns its threads and, with them, the state that they share: the destructor detaches a thread whose look-up hangs, and that
/// thread touches nothing but the shared state afterwards. Any thread.
class resolver {
 public:
  using look_up_function = std::function<resolved(const std::string& host)>;
  using steady = std::chrono::steady_clock;
  using now_function = std::function<steady::time_point()>;

  /// `now`: dates what is remembered.
  resolver(look_up_function ask, std::size_t threads, lookup_memory memory = {}, now_function now = steady::now)
      : state_{std::make_shared<shared>(std::move(ask), memory, std::move(now))}, limit_{threads} {}
  resolver(const resolver&) = delete;
  resolver& operator=(const resolver&) = delete;
  ~resolver() {
    std::unique_lock lock{state_->mutex};
    state_->closed = true;
    state_->wanted.clear();
    for (auto& t : state_->threads) {
      if (t->busy) t->handle.detach();
    }
    lock.unlock();
    state_->wake.notify_all();
    for (auto& t : state_->threads) {
      if (t->handle.joinable()) t->handle.join();
    }
  }

  /// The look-up of that name: one that runs, one that has failed a moment ago, or a new one. Null: no thread could be started for it.
  std::shared_ptr<lookup> ask(const std::string& host) {
    const std::lock_guard lock{state_->mutex};
    if (const auto it = state_->running.find(host); it != state_->running.end()) return it->second;
    if (const auto it = state_->failed.find(host); it != state_->failed.end()) {
      if (state_->now() < it->second.until) return it->second.what;
      state_->failed.erase(it);
    }
    auto l = std::make_shared<lookup>(host);
    // As many as are idle may be spoken for already, by look-ups that they have not woken up for yet.
    if (state_->wanted.size() >= state_->idle && state_->threads.size() < limit_) {
      const std::size_t others = state_->threads.size();
      try {
        state_->threads.push_back(std::make_unique<thread>());
        thread& t = *state_->threads.back();
        t.handle = std::thread{[state = state_, self = &t] { serve(state, *self); }};
      } catch (const std::exception&) {  // no thread, or no memory
        state_->threads.resize(others);
        if (state_->threads.empty()) return nullptr;
      }
    }
    state_->wanted.push_back(l);
    state_->running.emplace(host, l);
    state_->wake.notify_one();
    return l;
  }

 private:
  struct thread {
    std::thread handle;
    bool busy = false;
  };
  struct failure {
    std::shared_ptr<lookup> what;
    steady::time_point until;
  };
  struct shared {
    shared(look_up_function a, lookup_memory m, std::function<steady::time_point()> n)
        : ask{std::move(a)}, memory{m}, now{std::move(n)} {}
    const look_up_function ask;
    const lookup_memory memory;
    const std::function<steady::time_point()> now;
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<std::shared_ptr<lookup>> wanted;
    std::map<std::string, std::shared_ptr<lookup>> running;  // and wanted: later callers wait for the same one
    std::map<std::string, failure> failed;
    std::vector<std::unique_ptr<thread>> threads;
    std::size_t idle = 0;
    bool closed = false;
  };

  static void serve(const std::shared_ptr<shared>& state, thread& self) {
    std::unique_lock lock{state->mutex};
    for (;;) {
      ++state->idle;
      state->wake.wait(lock, [&] { return state->closed || !state->wanted.empty(); });
      --state->idle;
      if (state->closed) return;
      const std::shared_ptr<lookup> l = std::move(state->wanted.front());
      state->wanted.pop_front();
      self.busy = true;
      lock.unlock();
      l->begin();
      const auto begun = state->now();
      resolved result;
      try {
        result = state->ask(l->host);
      } catch (const std::bad_alloc&) {
        result.own_shortage = true;
        result.reason = "no memory";
      } catch (const std::exception& e) { result.reason = e.what(); } catch (...) {
        result.reason = "the resolver threw";
      }
      const auto ended = state->now();
      lock.lock();  // who has the result and asks again finds what is remembered of it, or a new look-up
      state->running.erase(l->host);
      if (result.addresses.empty() && !result.own_shortage) remember(*state, l, begun, ended);
      lock.unlock();
      l->finish(std::move(result));
      lock.lock();
      self.busy = false;
    }
  }

  static void remember(shared& state, const std::shared_ptr<lookup>& l, steady::time_point begun,
                       steady::time_point now) noexcept {
    const auto until = now + std::min<duration>(now - begun, state.memory.at_most);
    auto& known = state.failed;
    std::erase_if(known, [now](const auto& f) { return f.second.until <= now; });
    if (until <= now || state.memory.names == 0) return;
    if (known.size() >= state.memory.names) {
      known.erase(std::min_element(known.begin(), known.end(),
                                   [](const auto& a, const auto& b) { return a.second.until < b.second.until; }));
    }
    try {
      known.insert_or_assign(l->host, failure{l, until});
    } catch (const std::bad_alloc&) {}  // then it is looked up again
  }

  std::shared_ptr<shared> state_;
  const std::size_t limit_;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
