// SPDX-License-Identifier: MIT
/// \file
/// Which Asio the edge is built on: Boost.Asio, or standalone Asio if `AGAIN_STANDALONE_ASIO` is defined.
///
/// Define the macro for the whole program, on the command line. Units that disagree do not link: what the edge defines
/// stands in a namespace of that Asio. Boost.Asio 1.77 and standalone Asio 1.19 are the oldest versions, because they
/// are the first with cancellation slots.
#pragma once

#include <again/core/version.hpp>

#if defined(AGAIN_STANDALONE_ASIO)
#if !__has_include(<asio/version.hpp>)
#error \
    "again/asio.hpp: AGAIN_STANDALONE_ASIO is defined, but <asio.hpp> is not there: install Asio (Debian: libasio-dev)"
#endif
#include <asio/version.hpp>
#if ASIO_VERSION < 101900
#error "again/asio.hpp needs Asio 1.19 or later: earlier versions cannot cancel one operation"
#endif
#define AGAIN_ASIO_FLAVOUR standalone_asio
#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/execution.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/is_executor.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_executor.hpp>
#include <asio/use_awaitable.hpp>

#include <system_error>
#else
#if !__has_include(<boost/asio/version.hpp>)
#error \
    "again/asio.hpp: <boost/asio.hpp> is not there: install Boost.Asio (Debian: libboost1.81-dev), or define AGAIN_STANDALONE_ASIO for Asio without Boost"
#endif
#include <boost/asio/version.hpp>
#if BOOST_ASIO_VERSION < 101900
#error \
    "again/asio.hpp needs Boost 1.77 or later (Debian: libboost1.81-dev): earlier versions cannot cancel one operation"
#endif
#define AGAIN_ASIO_FLAVOUR boost_asio
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#endif

#if !defined(ASIO_HAS_CO_AWAIT) && !defined(BOOST_ASIO_HAS_CO_AWAIT)
#error \
    "again/asio.hpp: this Asio does not see that the compiler has coroutines (Asio before 1.23 with clang): define ASIO_HAS_CO_AWAIT for the whole program"
#endif

#include <again/core/expected.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace asio {
inline namespace AGAIN_ASIO_FLAVOUR {

#if defined(AGAIN_STANDALONE_ASIO)
namespace net = ::asio;
using error_code = std::error_code;
using system_error = std::system_error;
#else
namespace net = ::boost::asio;
using error_code = boost::system::error_code;
using system_error = boost::system::system_error;
#endif

}  // namespace AGAIN_ASIO_FLAVOUR
}  // namespace asio
}  // namespace AGAIN_ABI
}  // namespace again
