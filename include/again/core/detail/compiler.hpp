// SPDX-License-Identifier: MIT
/// \file
/// What the library needs of the compiler and its flags. Every header includes this one first, so that a build that lacks
/// something stops at one sentence, which says what to do. The floors are the oldest versions that compile the library
/// and pass its tests.
#pragma once

#if defined(__apple_build_version__)
#if __apple_build_version__ < 15000000
#define AGAIN_CANNOT_BUILD
#error "again needs Apple clang 15 (Xcode 15) or newer: update Xcode"
#endif
#elif defined(__clang__)
#if __clang_major__ < 16
#define AGAIN_CANNOT_BUILD
#error "again needs clang 16 or newer: older ones lack parts of C++20; install one, or use g++ 12 or newer"
#endif
#elif defined(__GNUC__)
#if __GNUC__ < 12
#define AGAIN_CANNOT_BUILD
#error "again needs g++ 12 or newer: older ones compile coroutines wrongly; install one, or use clang 16 or newer"
#endif
#endif

#if defined(AGAIN_CANNOT_BUILD)
#elif !(__cplusplus >= 202002L || (defined(_MSVC_LANG) && _MSVC_LANG >= 202002L))
#define AGAIN_CANNOT_BUILD
#error "again needs C++20: compile with -std=c++20 or newer (meson: cpp_std=c++20; CMake: CMAKE_CXX_STANDARD 20)"
#elif !defined(__cpp_exceptions)
#define AGAIN_CANNOT_BUILD
#error "again needs exceptions, which carry what an operation throws to its caller: compile without -fno-exceptions"
#elif !defined(__cpp_impl_coroutine)
#define AGAIN_CANNOT_BUILD
#error "again needs coroutines: compile without -fno-coroutines"
#endif

// No compiler ends at #error, but every one ends where a header is missing: hundreds of further errors would bury the
// sentence.
#if defined(AGAIN_CANNOT_BUILD)
#define AGAIN_STOP <the error above says what again needs>
#include AGAIN_STOP
#endif
