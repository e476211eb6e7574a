// SPDX-License-Identifier: MIT
#include "any_transport.hpp"

#include "options.hpp"

#include <again/coro/run_loop.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/httplib/transport.hpp>
#if defined(PROGRAMS_HAVE_BEAST)
#include <again/beast.hpp>
#endif

#include <fmt/format.h>

#include <new>

namespace programs {
namespace {

template <class T> class over final : public any_transport {
 public:
  template <class... Options> explicit over(Options&&... o) : transport_{std::forward<Options>(o)...} {}

 private:
  struct one final : attempt {
    one(T& through, std::shared_ptr<const again::http::outgoing> what, int number)
        : send{through.send(std::move(what), number)} {}
    bool start(again::continuation k, const again::context& ctx) noexcept override { return send.start(k, ctx); }
    again::http::send_result take() override { return send.take(); }
    decltype(std::declval<T&>().send(std::shared_ptr<const again::http::outgoing>{}, 1)) send;
  };
  std::unique_ptr<attempt> begin(std::shared_ptr<const again::http::outgoing> what, int number) noexcept override {
    return std::unique_ptr<attempt>{new (std::nothrow) one{transport_, std::move(what), number}};
  }

  T transport_;
};

template <class Options> Options common(const transport_settings& s) {
  Options o;
  o.cacert = s.cacert;
  o.deny_private_addresses = s.deny_private;
  o.max_connections = s.connections;
  return o;
}

/// Ours, in real or pretend time.
class own_loop final : public program_loop {
 public:
  own_loop(bool no_wait, std::optional<std::uint64_t> seed)
      : pretend_{again::system_clocks().wall_now()},
        loop_{no_wait ? static_cast<again::clock&>(pretend_) : again::system_clocks(),
              seed ? *seed : again::fresh_seed()} {}
  again::scheduler& get() noexcept override { return loop_; }
  void run(again::task<> t, again::inplace_stop_token stop) override { again::sync_wait(loop_, std::move(t), stop); }
  std::unique_ptr<any_transport> transport(const transport_settings& s) override { return any_transport::make(s); }

 private:
  again::virtual_clock pretend_;
  again::run_loop loop_;
};

#if defined(PROGRAMS_HAVE_BEAST)
/// That of an io_context.
class beast_loop final : public program_loop {
 public:
  again::scheduler& get() noexcept override { return loop_; }
  void run(again::task<> t, again::inplace_stop_token stop) override {
    std::exception_ptr thrown;
    again::asio::run(io_, stoppable(std::move(t), stop, thrown));
    if (thrown) std::rethrow_exception(thrown);
  }
  std::unique_ptr<any_transport> transport(const transport_settings& s) override {
    return std::make_unique<over<again::beast::transport>>(io_.get_executor(), common<again::beast::options>(s));
  }

 private:
  static again::task<> watched(again::task<> t, std::exception_ptr& thrown) {
    try {
      co_await std::move(t);
    } catch (...) { thrown = std::current_exception(); }
  }
  static again::task<> stoppable(again::task<> t, again::inplace_stop_token stop, std::exception_ptr& thrown) {
    const again::context& here = co_await again::get_context();
    again::context stopped;
    stopped.scheduler = here.scheduler;
    stopped.stop = stop;
    again::scope one{stopped};
    one.spawn(watched(std::move(t), thrown));
    co_await one.join();
  }

  boost::asio::io_context io_{1};
  again::scheduler& loop_{again::asio::scheduler_of(io_.get_executor())};
};
#endif

}  // namespace

std::unique_ptr<program_loop> program_loop::make([[maybe_unused]] transport_kind kind, bool no_wait,
                                                 std::optional<std::uint64_t> seed) {
#if defined(PROGRAMS_HAVE_BEAST)
  if (kind == transport_kind::beast && !no_wait && !seed) return std::make_unique<beast_loop>();
#endif
  return std::make_unique<own_loop>(no_wait, seed);
}

transport_kind transport_named(std::string_view name) {
  if (name == "httplib") return transport_kind::httplib;
  if (name != "beast") throw usage_error{fmt::format("'{}' is neither httplib nor beast", name)};
#if defined(PROGRAMS_HAVE_BEAST)
  return transport_kind::beast;
#else
  throw usage_error{
      "this program was built without Boost.Beast: install it (Debian: libboost1.81-dev), and build anew"};
#endif
}

std::unique_ptr<any_transport> any_transport::make(const transport_settings& s) {
#if defined(PROGRAMS_HAVE_BEAST)
  if (s.kind == transport_kind::beast)
    return std::make_unique<over<again::beast::transport>>(common<again::beast::options>(s));
#endif
  auto o = common<again::http::httplib_options>(s);
  o.workers = s.connections;
  return std::make_unique<over<again::http::httplib_transport>>(std::move(o));
}

}  // namespace programs
