// SPDX-License-Identifier: MIT
// The file, pipe or device that `--body-file` names, as the body of a request.
#pragma once

#include "options.hpp"

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/http/body.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace programs {

/// Opens the path once and never waits for it: opening a FIFO without a writer returns at once, and `read` waits in its place, within
/// the bound of an attempt. Every attempt reads a regular file from its beginning; a pipe or device can be read only once.
class body_file {
 public:
  /// Throws usage_error: the path cannot be opened, or it can be read only once and `one_shot` is false.
  body_file(std::string path, bool one_shot) : opened_{std::make_shared<opened>(std::move(path))} {
    const std::string& name = opened_->path;
    struct stat about{};
    if (::stat(name.c_str(), &about) != 0) throw unreadable();
    if (S_ISDIR(about.st_mode)) throw usage_error{fmt::format("cannot read {}: Is a directory", name)};
    opened_->fd = ::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (opened_->fd < 0 || ::fstat(opened_->fd, &about) != 0) throw unreadable();
    if (S_ISDIR(about.st_mode)) throw usage_error{fmt::format("cannot read {}: Is a directory", name)};
    opened_->regular = S_ISREG(about.st_mode);
    opened_->size = static_cast<std::uint64_t>(about.st_size);
    if (!opened_->regular && !one_shot)
      throw usage_error{fmt::format("{} can be read only once: add --one-shot-body", name)};
    opened_->over = ::eventfd(0, EFD_CLOEXEC);
    if (opened_->over < 0) throw std::system_error{errno, std::generic_category(), "eventfd"};
  }

  /// A regular file.
  bool replayable() const noexcept { return opened_->regular; }

  /// `wait`: how long one attempt waits for a pipe's bytes.
  again::http::body body(bool one_shot, again::duration wait) const {
    const auto open = [from = opened_, wait]() -> std::unique_ptr<again::http::chunk_source> {
      if (from->regular) return std::make_unique<file_source>(from);
      return std::make_unique<pipe_source>(from, wait);
    };
    return one_shot ? again::http::body::one_shot(open()) : again::http::body::factory(open);
  }

  /// Ends all reads that wait for a pipe: the call is over. Any thread may call it.
  void stop_waiting() const noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(opened_->over, &one, sizeof one);
  }

 private:
  struct opened {  // shared with the attempts, which read on the transport's threads
    explicit opened(std::string p) : path{std::move(p)} {}
    opened(const opened&) = delete;
    opened& operator=(const opened&) = delete;
    ~opened() {
      if (fd >= 0) ::close(fd);
      if (over >= 0) ::close(over);
    }
    std::string path;
    int fd = -1, over = -1;
    bool regular = false;
    std::uint64_t size = 0;
  };
  using result = again::expected<std::size_t, std::string>;
  static again::unexpected<std::string> failed() { return again::unexpected<std::string>{std::strerror(errno)}; }

  class file_source final : public again::http::chunk_source {
   public:
    explicit file_source(std::shared_ptr<const opened> from) : from_{std::move(from)} {}
    result read(std::span<char> into) override {
      ssize_t n = 0;
      do { n = ::pread(from_->fd, into.data(), into.size(), at_); } while (n < 0 && errno == EINTR);
      if (n < 0) return failed();
      at_ += n;
      return static_cast<std::size_t>(n);
    }
    std::optional<std::uint64_t> size() const override { return from_->size; }

   private:
    std::shared_ptr<const opened> from_;
    off_t at_ = 0;
  };

  class pipe_source final : public again::http::chunk_source {
   public:
    pipe_source(std::shared_ptr<const opened> from, again::duration wait) : from_{std::move(from)}, wait_{wait} {}
    result read(std::span<char> into) override {
      const auto now = std::chrono::steady_clock::now();
      if (!until_) until_ = again::saturating_add(now, wait_);
      for (;;) {
        pollfd both[2] = {{from_->fd, POLLIN, 0}, {from_->over, POLLIN, 0}};
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until_ - std::chrono::steady_clock::now());
        const int ready = ::poll(both, 2, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000'000)));
        if (ready < 0 && errno != EINTR) return failed();
        if (ready == 0) return again::unexpected<std::string>{"nothing was written to " + from_->path};
        if (ready > 0 && both[1].revents != 0) return again::unexpected<std::string>{"the call has ended"};
        if (ready < 0) continue;
        const ssize_t n = ::read(from_->fd, into.data(), into.size());
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno != EAGAIN && errno != EINTR) return failed();
      }
    }

   private:
    std::shared_ptr<const opened> from_;
    again::duration wait_;
    std::optional<again::time_point> until_;
  };

  usage_error unreadable() const {
    return usage_error{fmt::format("cannot read {}: {}", opened_->path, std::strerror(errno))};
  }

  std::shared_ptr<opened> opened_;
};

}  // namespace programs
