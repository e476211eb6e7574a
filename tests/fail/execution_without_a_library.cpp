// SPDX-License-Identifier: MIT
// FLAGS: -UAGAIN_EXECUTION_HEADER -UAGAIN_EXECUTION_NAMESPACE
// EXPECT: put the include folder of stdexec (github.com/NVIDIA/stdexec) on the include path
#if !__has_include(<stdexec/execution.hpp>) && !defined(__cpp_lib_senders)
#include <again/execution.hpp>
#else
#error put the include folder of stdexec (github.com/NVIDIA/stdexec) on the include path
#endif
