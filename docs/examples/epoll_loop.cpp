// SPDX-License-Identifier: MIT
// A sample of docs/asio.md: a scheduler of one's own, over epoll. It stands for the loop of Qt, GLib, libuv or of your program.
#include <again/again.hpp>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <mutex>
#include <string>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

// Everything runs on the thread that calls `run`; `post` may be called by any thread.
class epoll_loop final : public again::scheduler {
 public:
  epoll_loop() {
    ::epoll_event on_wake{.events = EPOLLIN, .data = {.fd = wake_}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &on_wake);
  }
  epoll_loop(const epoll_loop&) = delete;
  epoll_loop& operator=(const epoll_loop&) = delete;
  ~epoll_loop() override {
    ::close(wake_);
    ::close(epoll_);
  }

  again::time_point now() const noexcept override { return again::system_clocks().now(); }
  again::wall_time wall_now() const noexcept override { return again::system_clocks().wall_now(); }
  bool here() const noexcept override { return running(); }
  void post(again::work& w) noexcept override {
    if (here()) {
      local_.push(w, again::work::state::local);
      return;
    }
    const std::lock_guard lock{mutex_};
    remote_.push(w, again::work::state::remote);
    ::eventfd_write(wake_, 1);
  }
  void forget(again::work& w) noexcept override {
    if (w.queued == again::work::state::local) {
      local_.remove(w);
      return;
    }
    const std::lock_guard lock{mutex_};
    if (w.queued == again::work::state::remote) remote_.remove(w);
  }
  void arm(again::timer& t, again::time_point when) noexcept override { timers_.insert(t, when, last_wake()); }
  void disarm(again::timer& t) noexcept override { timers_.remove(t); }
  std::uint64_t seed() noexcept override { return again::fresh_seed(); }

  void run() {
    while (!stopped_) {
      ::epoll_event event{};
      if (::epoll_wait(epoll_, &event, 1, milliseconds_to(timers_.next())) == 1 && event.data.fd == wake_) {
        ::eventfd_t count = 0;
        ::eventfd_read(wake_, &count);
      }
      turn();
    }
  }
  void stop() noexcept { stopped_ = true; }

 private:
  // What is ready, and what that makes ready.
  void turn() {
    const entry guard{*this};
    {
      const std::lock_guard lock{mutex_};
      local_.take(remote_, again::work::state::local);
    }
    while (again::timer* t = timers_.pop_due(last_wake())) t->fire(*t);
    while (again::work* w = local_.pop()) w->run(*w);
  }
  int milliseconds_to(again::time_point when) const noexcept {
    if (when == again::never) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - now()).count();
    return left <= 0                                ? 0
           : left > std::numeric_limits<int>::max() ? std::numeric_limits<int>::max()
                                                    : static_cast<int>(left);
  }

  const int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  const int wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  again::work_queue local_;
  again::timer_wheel timers_;
  std::mutex mutex_;  // guards `remote_`
  again::work_queue remote_;
  bool stopped_ = false;
};

struct busy {
  int number;
};

// Runs on the epoll loop, to the end.
again::task<> program(epoll_loop& loop) {
  int sends = 0;
  auto op = [&]() -> again::task<again::expected<std::string, busy>> {
    co_await again::yield();
    if (++sends < 3) co_return again::unexpected(busy{sends});
    co_return "done";
  };
  auto r = co_await again::retry(again::policy{.attempts = 4, .backoff = again::constant(1ms)}, op);
  std::printf("%s after %d sends\n", r->c_str(), sends);
  loop.stop();
}

// The same with a `run_loop` that another loop drives: no class is needed.
again::task<> program(bool& done) {
  (void)co_await again::sleep(1ms);
  std::printf("slept\n");
  done = true;
}
void driven() {
  again::run_loop ours;
  int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  ours.when_posted([](void* fd) noexcept { ::eventfd_write(*static_cast<int*>(fd), 1); }, &wake);
  bool done = false;
  again::scope tasks{ours.root()};
  tasks.spawn(program(done));
  while (!done) {
    const again::time_point next = ours.poll();
    if (done) break;
    // The foreign loop: it waits for `wake`, for its own descriptors, and until `next`.
    const auto left = next == again::never ? 1000ms : std::chrono::ceil<std::chrono::milliseconds>(next - ours.now());
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    ::epoll_event event{.events = EPOLLIN, .data = {.fd = wake}};
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event);
    ::epoll_wait(epoll, &event, 1, static_cast<int>(left.count() < 0 ? 0 : left.count()));
    ::close(epoll);
    ::eventfd_t count = 0;
    ::eventfd_read(wake, &count);
  }
  ::close(wake);
}

}  // namespace

int main() {
  {
    epoll_loop loop;
    again::scope tasks{loop.root()};
    tasks.spawn(program(loop));
    loop.run();
  }
  driven();
}
