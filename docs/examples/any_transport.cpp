// SPDX-License-Identifier: MIT
#include "any_transport.hpp"

#include "options.hpp"

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
  template <class Options> explicit over(Options&& o) : transport_{std::forward<Options>(o)} {}

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

}  // namespace

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
