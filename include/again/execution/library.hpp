// SPDX-License-Identifier: MIT
/// \file
/// Which library of senders and receivers (P2300) the edge is built on: `std::execution` where the standard library has
/// it (`__cpp_lib_senders`), else stdexec if `<stdexec/execution.hpp>` is on the include path.
///
/// Any other library that has the names of P2300 in one namespace is the third choice: define, for the whole program,
/// on the command line,
///
/// ```sh
/// -DAGAIN_EXECUTION_HEADER='<beman/execution/execution.hpp>' -DAGAIN_EXECUTION_NAMESPACE=beman::execution
/// ```
///
/// Units that disagree do not link: what the edge defines stands in a namespace of that library. All names of the
/// library that the edge uses are in `again::execution::lib`, below.
#pragma once

#include <again/core/expected.hpp>

#include <version>

#if defined(AGAIN_EXECUTION_HEADER)
#if !defined(AGAIN_EXECUTION_NAMESPACE)
#error \
    "again/execution.hpp: AGAIN_EXECUTION_HEADER is defined; define AGAIN_EXECUTION_NAMESPACE, too: where its names are"
#endif
#include AGAIN_EXECUTION_HEADER
#define AGAIN_EXECUTION_FLAVOUR over_another
#elif defined(__cpp_lib_senders)
#include <execution>
#include <stop_token>
#define AGAIN_EXECUTION_FLAVOUR over_std_execution
#elif __has_include(<stdexec/execution.hpp>)
#include <stdexec/execution.hpp>
#define AGAIN_EXECUTION_FLAVOUR over_stdexec
#define AGAIN_EXECUTION_NAMESPACE ::stdexec
#else
#error \
    "again/execution.hpp: the standard library has no std::execution, and <stdexec/execution.hpp> is not there: put the include folder of stdexec (github.com/NVIDIA/stdexec) on the include path, or define AGAIN_EXECUTION_HEADER and AGAIN_EXECUTION_NAMESPACE for another library with the names of P2300"
#endif

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {

/// The names of P2300 that the edge uses.
namespace lib {

#if defined(AGAIN_EXECUTION_NAMESPACE)
using AGAIN_EXECUTION_NAMESPACE::forwarding_query_t;
using AGAIN_EXECUTION_NAMESPACE::get_stop_token;
using AGAIN_EXECUTION_NAMESPACE::get_stop_token_t;
using AGAIN_EXECUTION_NAMESPACE::stop_callback_for_t;
using AGAIN_EXECUTION_NAMESPACE::stop_token_of_t;
using AGAIN_EXECUTION_NAMESPACE::stoppable_token;
using operation_state_tag = AGAIN_EXECUTION_NAMESPACE::operation_state_t;
using receiver_tag = AGAIN_EXECUTION_NAMESPACE::receiver_t;
using scheduler_tag = AGAIN_EXECUTION_NAMESPACE::scheduler_t;
using sender_tag = AGAIN_EXECUTION_NAMESPACE::sender_t;
#else
#define AGAIN_EXECUTION_NAMESPACE ::std::execution
using std::forwarding_query_t;
using std::get_stop_token;
using std::get_stop_token_t;
using std::stop_callback_for_t;
using std::stop_token_of_t;
using std::stoppable_token;
using std::execution::operation_state_tag;
using std::execution::receiver_tag;
using std::execution::scheduler_tag;
using std::execution::sender_tag;
#endif

using AGAIN_EXECUTION_NAMESPACE::completion_signatures;
using AGAIN_EXECUTION_NAMESPACE::connect;
using AGAIN_EXECUTION_NAMESPACE::connect_result_t;
using AGAIN_EXECUTION_NAMESPACE::env_of_t;
using AGAIN_EXECUTION_NAMESPACE::error_types_of_t;
using AGAIN_EXECUTION_NAMESPACE::forward_progress_guarantee;
using AGAIN_EXECUTION_NAMESPACE::get_completion_scheduler_t;
using AGAIN_EXECUTION_NAMESPACE::get_env;
using AGAIN_EXECUTION_NAMESPACE::get_forward_progress_guarantee_t;
using AGAIN_EXECUTION_NAMESPACE::get_scheduler;
using AGAIN_EXECUTION_NAMESPACE::get_scheduler_t;
using AGAIN_EXECUTION_NAMESPACE::receiver;
using AGAIN_EXECUTION_NAMESPACE::scheduler;
using AGAIN_EXECUTION_NAMESPACE::sender;
using AGAIN_EXECUTION_NAMESPACE::sender_in;
using AGAIN_EXECUTION_NAMESPACE::set_error;
using AGAIN_EXECUTION_NAMESPACE::set_error_t;
using AGAIN_EXECUTION_NAMESPACE::set_stopped;
using AGAIN_EXECUTION_NAMESPACE::set_stopped_t;
using AGAIN_EXECUTION_NAMESPACE::set_value;
using AGAIN_EXECUTION_NAMESPACE::set_value_t;
using AGAIN_EXECUTION_NAMESPACE::start;
using AGAIN_EXECUTION_NAMESPACE::value_types_of_t;

// stdexec since April 2026 asks a second name for the scheduler on which something was started (P3941).
#if !defined(AGAIN_EXECUTION_HEADER) && __has_include(<stdexec/__detail/__affine.hpp>) && !defined(__cpp_lib_senders)
using start_scheduler_query = AGAIN_EXECUTION_NAMESPACE::get_start_scheduler_t;
#else
using start_scheduler_query = get_scheduler_t;
#endif

}  // namespace lib
}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution
}  // namespace AGAIN_ABI
}  // namespace again
