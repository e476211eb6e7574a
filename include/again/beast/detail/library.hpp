// SPDX-License-Identifier: MIT
/// \file
/// What the edge to Boost.Beast is built on: Boost.Asio and Boost.Beast 1.77 or later, and OpenSSL.
#pragma once

#include <again/core/version.hpp>

#if defined(AGAIN_STANDALONE_ASIO)
#error "again/beast.hpp: Boost.Beast is built on Boost.Asio: compile this program without AGAIN_STANDALONE_ASIO"
#endif
#if !__has_include(<boost/beast/version.hpp>)
#error "again/beast.hpp: <boost/beast.hpp> is not there: install Boost.Beast (Debian: libboost1.81-dev)"
#endif
#if !__has_include(<openssl/ssl.h>)
#error "again/beast.hpp: <openssl/ssl.h> is not there: install OpenSSL (Debian: libssl-dev)"
#endif

#include <again/asio/library.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {

namespace net = ::boost::asio;
using error_code = ::boost::system::error_code;

}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
