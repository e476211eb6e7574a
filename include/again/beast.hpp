// SPDX-License-Identifier: MIT
/// \file
/// HTTP over Boost.Beast: one include for the transport, what makes clients over it, and the edge to Asio. Needs Boost.Asio and
/// Boost.Beast 1.77 or later (Debian: libboost1.81-dev) and OpenSSL (libssl-dev). docs/asio.md and docs/http.md.
#pragma once

#include <again/asio.hpp>
#include <again/beast/options.hpp>
#include <again/beast/transport.hpp>
#include <again/http/client.hpp>
