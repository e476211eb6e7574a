// SPDX-License-Identifier: MIT
/// \file
/// The transport that the tests of this program use: `transport_under_test` with its `transport_options`, a `client` that
/// owns one, `run` to await something from a test, and what transports may differ in. Each difference is a function or
/// constant with a name and a reason, so that no test asks which transport it has.
#pragma once

#if defined(AGAIN_TEST_BEAST)
#include "support/beast_under_test.hpp"
#else
#include "support/httplib_under_test.hpp"
#endif

#include <again/http/transport.hpp>

#include <memory>
#include <utility>

namespace again_test {

/// What one attempt is.
using send_of_transport =
    decltype(std::declval<transport_under_test&>().send(std::shared_ptr<const again::http::outgoing>{}, 1));

}  // namespace again_test
