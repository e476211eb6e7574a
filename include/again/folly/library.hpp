// SPDX-License-Identifier: MIT
/// \file
/// Which parts of folly the edge is built on. folly is not packaged in Debian: its headers are found if the compiler is
/// told where they are.
#pragma once

#include <again/core/version.hpp>

#if !__has_include(<folly/coro/Task.h>)
#error \
    "again/folly.hpp: <folly/coro/Task.h> is not there: install folly (https://github.com/facebook/folly) and add its include folder with -I"
#endif

#include <folly/CancellationToken.h>
#include <folly/coro/Task.h>
#include <folly/coro/ViaIfAsync.h>
#include <folly/coro/WithCancellation.h>
#if __has_include(<folly/lang/MustUseImmediately.h>)
#include <folly/lang/MustUseImmediately.h>
/// Versions from 2025 on: their `co_withCancellation` has one more template parameter, and so has ours.
#define AGAIN_FOLLY_IMMEDIATE , std::enable_if_t<!::folly::ext::must_use_immediately_v<A>, int> = 0
#else
#define AGAIN_FOLLY_IMMEDIATE
#endif
