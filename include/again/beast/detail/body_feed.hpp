// SPDX-License-Identifier: MIT
/// \file
/// `body_feed`: a request's body that is not in memory, opened and read on threads for that, so that a slow disk, a pipe or a
/// factory that computes holds up no other request.
#pragma once

#include <again/core/detail/work.hpp>
#include <again/core/expected.hpp>
#include <again/coro/scheduler.hpp>
#include <again/http/body.hpp>
#include <again/http/transport.hpp>

#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

class body_feed;

/// The threads; they start when first needed. Owns them and, with them, the state that they share: the destructor detaches a thread
/// whose body hangs, and that thread touches nothing afterwards but the body and the state. Any thread.
class body_threads {
 public:
  explicit body_threads(std::size_t most) : state_{std::make_shared<shared>()}, most_{most} {}
  body_threads(const body_threads&) = delete;
  body_threads& operator=(const body_threads&) = delete;
  ~body_threads() {
    std::unique_lock lock{state_->mutex};
    state_->closed = true;
    state_->wanted.clear();
    for (auto& t : state_->threads)
      if (t->busy) t->handle.detach();
    lock.unlock();
    state_->wake.notify_all();
    for (auto& t : state_->threads)
      if (t->handle.joinable()) t->handle.join();
  }

  /// Lets a thread take the next step of `f`. False: none could be started.
  bool run(const std::shared_ptr<body_feed>& f) {
    const std::lock_guard lock{state_->mutex};
    if (state_->wanted.size() >= state_->idle && state_->threads.size() < most_) {
      const std::size_t others = state_->threads.size();
      try {
        state_->threads.push_back(std::make_unique<thread>());
        thread& t = *state_->threads.back();
        t.handle = std::thread{[state = state_, self = &t] { serve(state, *self); }};
      } catch (const std::exception&) {  // no thread, or no memory
        state_->threads.resize(others);
        if (others == 0) return false;
      }
    }
    state_->wanted.push_back(f);
    state_->wake.notify_one();
    return true;
  }

 private:
  struct thread {
    std::thread handle;
    bool busy = false;
  };
  struct shared {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<std::shared_ptr<body_feed>> wanted;
    std::vector<std::unique_ptr<thread>> threads;
    std::size_t idle = 0;
    bool closed = false;
  };
  static void serve(const std::shared_ptr<shared>& state, thread& self);

  std::shared_ptr<shared> state_;
  const std::size_t most_;
};

/// One pass over a body. Shared by the attempt and by the thread that takes a step of it: of these one touches the body at a time, the
/// thread from `open` or `read` until it has told. An attempt that leaves meanwhile leaves the body to the thread.
class body_feed : public std::enable_shared_from_this<body_feed> {
 public:
  static constexpr std::size_t part_size = 16384, before = 8, behind = 2;  // with room for a chunk's frame

  body_feed(std::shared_ptr<const http::outgoing> what, body_threads& threads)
      : what_{std::move(what)}, threads_{threads} {
    buffer_.resize(before + part_size + behind);
  }
  body_feed(const body_feed&) = delete;
  body_feed& operator=(const body_feed&) = delete;

  /// Who is told, by work on the loop. In the pool's turns, as all that follows.
  void listen(scheduler& loop, work& told) noexcept {
    const std::lock_guard lock{mutex_};
    loop_ = &loop;
    told_ = &told;
  }
  /// Nothing is told from now on.
  void leave() noexcept {
    const std::lock_guard lock{mutex_};
    if (loop_ != nullptr) loop_->forget(*told_);
    loop_ = nullptr;
  }
  /// False: no thread could be started. Else it is told.
  bool open() {
    opening_ = true;
    return busy_ = threads_.run(shared_from_this());
  }
  bool read() {
    opening_ = false;
    return busy_ = threads_.run(shared_from_this());
  }
  /// It was told.
  void told() noexcept { busy_ = false; }
  /// A thread has it: nothing that follows may be asked.
  bool busy() const noexcept { return busy_; }

  /// After it is told: there was no memory for the step.
  bool lacked_memory() const noexcept { return no_memory_; }
  /// After it is told: the body is open, or why it is not.
  bool is_open() const noexcept { return reader_.has_value(); }
  const std::string& problem() const noexcept { return problem_; }
  int open_error() const noexcept { return error_; }
  http::body::reader& reader() noexcept { return *reader_; }
  /// After it is told: the bytes that were read; none is the end. `problem` says why they could not be.
  std::size_t bytes() const noexcept { return bytes_; }
  char* part() noexcept { return buffer_.data() + before; }

  /// On one of the threads.
  void step() noexcept {
    try {
      opening_ ? open_now() : read_now();
    } catch (const std::bad_alloc&) {
      no_memory_ = true;
      if (opening_) reader_.reset();
    }
    const std::lock_guard lock{mutex_};
    if (loop_ != nullptr) return loop_->post(*told_);
    // Nobody waits for it any more. A body that can be had once, and of which nothing was read, is left for the next attempt.
    if (opening_ && reader_ && !what_->request.body().replayable()) what_->give_back(std::move(*reader_));
  }

 private:
  void open_now() {
    problem_.clear();  // of an earlier try, which had no descriptor
    errno = 0;
    auto opened = what_->open_body();
    error_ = opened ? 0 : errno;
    if (opened) {
      reader_.emplace(std::move(*opened));
    } else {
      problem_ = opened.error().reason();
    }
  }
  void read_now() {
    auto n = reader_->read({part(), part_size});
    bytes_ = n ? *n : 0;
    if (!n) problem_ = std::move(n.error());
  }

  const std::shared_ptr<const http::outgoing> what_;
  body_threads& threads_;
  bool busy_ = false;  // the loop's
  bool opening_ = true, no_memory_ = false;
  std::optional<http::body::reader> reader_;
  std::string problem_;
  int error_ = 0;
  std::size_t bytes_ = 0;
  std::string buffer_;

  std::mutex mutex_;  // guards what follows
  scheduler* loop_ = nullptr;
  work* told_ = nullptr;
};

inline void body_threads::serve(const std::shared_ptr<shared>& state, thread& self) {
  std::unique_lock lock{state->mutex};
  for (;;) {
    ++state->idle;
    state->wake.wait(lock, [&] { return state->closed || !state->wanted.empty(); });
    --state->idle;
    if (state->closed) return;
    std::shared_ptr<body_feed> f = std::move(state->wanted.front());
    state->wanted.pop_front();
    self.busy = true;
    lock.unlock();
    f->step();
    f = nullptr;  // a source may block when it is destroyed, too
    lock.lock();
    self.busy = false;
  }
}

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
