// SPDX-License-Identifier: MIT
/// \file
/// What an `error_code` of Asio means to a retry.
///
/// | error | verdict |
/// |---|---|
/// | `eof`, `connection_reset`, `connection_aborted`, `broken_pipe`, `timed_out`, `not_connected`, `shut_down`, TLS `stream_truncated` | transient, maybe sent |
/// | `connection_refused`, `host_unreachable`, `network_unreachable`, `network_down`, `host_not_found_try_again` | transient, not sent |
/// | `no_descriptors`, `no_buffer_space`, `no_memory`, `try_again`, `interrupted` | transient, not sent: our own shortage |
/// | `host_not_found`, `no_data`, `no_recovery`, `service_not_found`, `address_family_not_supported`, `invalid_argument`, `access_denied`, `no_permission`, `bad_descriptor`, `message_size`, other TLS errors, ... | permanent |
/// | `operation_aborted` | aborted: our own stop or timeout, or a `close` or `cancel` of yours |
/// | any other code | transient, maybe sent |
///
/// "Not sent" is true of the operation that gives such an error, `async_connect` or a look-up. A coroutine that sends and
/// then gets one of them from another operation should return an error type of its own with a `verdict()`.
#pragma once

#include <again/asio/library.hpp>
#include <again/policy/verdict.hpp>

#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace asio {
inline namespace AGAIN_ASIO_FLAVOUR {

/// See the table above.
inline verdict verdict_of_code(const error_code& e) noexcept {
  namespace error = net::error;
  verdict v{.code = e.value(), .name = "error"};
  const auto is = [&e](auto... codes) { return ((e == codes) || ...); };
  const auto gives = [&v](disposition kind, reach r, std::string_view name) {
    v.kind = kind;
    v.reach = r;
    v.name = name;
    return v;
  };
  using enum disposition;
  if (is(error::operation_aborted)) return gives(aborted, reach::maybe_sent, "aborted");
  if (is(error::eof)) return gives(transient, reach::maybe_sent, "eof");
  if (is(error::connection_reset, error::connection_aborted, error::broken_pipe, error::network_reset))
    return gives(transient, reach::maybe_sent, "reset");
  if (is(error::not_connected, error::shut_down)) return gives(transient, reach::maybe_sent, "closed");
  if (is(error::timed_out)) return gives(transient, reach::maybe_sent, "timed_out");
  if (is(error::connection_refused)) return gives(transient, reach::not_sent, "refused");
  if (is(error::host_unreachable, error::network_unreachable, error::network_down))
    return gives(transient, reach::not_sent, "unreachable");
  if (is(error::host_not_found_try_again)) return gives(transient, reach::not_sent, "resolve");
  if (is(error::host_not_found, error::no_data, error::no_recovery, error::service_not_found,
         error::socket_type_not_supported))
    return gives(permanent, reach::not_sent, "resolve");
  if (is(error::no_descriptors, error::no_buffer_space, error::no_memory, error::try_again, error::interrupted))
    return gives(transient, reach::not_sent, "exhausted");
  const std::string_view category = e.category().name();
  if (category == "asio.ssl.stream" && e.value() == 1) return gives(transient, reach::maybe_sent, "truncated");
  if (category == "asio.ssl") return gives(permanent, reach::maybe_sent, "tls");
  if (is(error::access_denied, error::address_family_not_supported, error::address_in_use, error::already_connected,
         error::already_open, error::already_started, error::bad_descriptor, error::fault, error::invalid_argument,
         error::message_size, error::name_too_long, error::no_permission, error::no_protocol_option,
         error::no_such_device, error::not_found, error::not_socket, error::operation_not_supported,
         error::fd_set_failure))
    return gives(permanent, reach::not_sent, "invalid");
  return v;
}

}  // namespace AGAIN_ASIO_FLAVOUR
}  // namespace asio

template <> struct foreign_verdict<asio::error_code> {
  static verdict of(const asio::error_code& e) noexcept { return asio::verdict_of_code(e); }
};

}  // namespace AGAIN_ABI
}  // namespace again
