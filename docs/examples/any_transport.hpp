// SPDX-License-Identifier: MIT
// The transport of `send` and `deliver`, chosen on the command line. What it is made of is compiled in any_transport.cpp alone.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/scheduler.hpp>
#include <again/coro/task.hpp>
#include <again/http/transport.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace programs {

enum class transport_kind : std::uint8_t { httplib, beast };

/// The kind of that name; throws usage_error, also for one that this program was built without.
transport_kind transport_named(std::string_view name);

struct transport_settings {
  transport_kind kind = transport_kind::httplib;
  std::string cacert;
  bool deny_private = false;
  std::size_t connections = 64;  ///< attempts at a time; with httplib each takes a thread
};

/// An `again::http::transport` that is one or the other. Cost: an allocation and three virtual calls for each attempt.
class any_transport {
 public:
  /// Throws as the transports' constructors do.
  static std::unique_ptr<any_transport> make(const transport_settings& s);
  any_transport() = default;
  any_transport(const any_transport&) = delete;
  any_transport& operator=(const any_transport&) = delete;
  virtual ~any_transport() = default;

  /// The awaiting side of an attempt over one of them.
  struct attempt {
    attempt() = default;
    attempt(const attempt&) = delete;
    attempt& operator=(const attempt&) = delete;
    virtual ~attempt() = default;
    virtual bool start(again::continuation k, const again::context& ctx) noexcept = 0;
    virtual again::http::send_result take() = 0;
  };
  class [[nodiscard]] sending {
   public:
    using result_type = again::http::send_result;
    explicit sending(std::unique_ptr<attempt> a) noexcept : attempt_{std::move(a)} {}
    auto operator co_await() && noexcept { return again::detail::startable_awaiter<sending>{*this}; }
    bool start(again::continuation k, const again::context& ctx) noexcept {
      return attempt_ == nullptr || attempt_->start(k, ctx);
    }
    result_type take() {
      if (attempt_) return attempt_->take();
      return again::unexpected<again::http::send_failure>{
          again::http::send_failure{again::http::error_kind::shortage, again::reach::not_sent, {}}};
    }
    static std::exception_ptr exception() noexcept { return nullptr; }

   private:
    std::unique_ptr<attempt> attempt_;  // null: no memory
  };
  sending send(std::shared_ptr<const again::http::outgoing> what, int number) noexcept {
    return sending{begin(std::move(what), number)};
  }

 private:
  virtual std::unique_ptr<attempt> begin(std::shared_ptr<const again::http::outgoing> what, int number) noexcept = 0;
};

/// The loop on which a program's coroutines run, and the transport that goes with it.
class program_loop {
 public:
  /// `no_wait`: pretend time. `seed`: of the jitter. With neither, and over Beast, it is the `io_context` of the transport, so that no thread
  /// is woken for a send.
  static std::unique_ptr<program_loop> make(transport_kind kind, bool no_wait, std::optional<std::uint64_t> seed);
  program_loop() = default;
  program_loop(const program_loop&) = delete;
  program_loop& operator=(const program_loop&) = delete;
  virtual ~program_loop() = default;

  virtual again::scheduler& get() noexcept = 0;
  /// Runs it on the calling thread until `t` has ended. Throws what `t` throws.
  virtual void run(again::task<> t, again::inplace_stop_token stop) = 0;
  /// Throws as the transports' constructors do. It must be gone before the loop is.
  virtual std::unique_ptr<any_transport> transport(const transport_settings& s) = 0;
};

}  // namespace programs
