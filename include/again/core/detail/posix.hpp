// SPDX-License-Identifier: MIT
/// \file
/// What HTTP needs of the system. The first include of what uses POSIX files and sockets.
#pragma once

#include <again/core/detail/compiler.hpp>

#if defined(_WIN32) || !__has_include(<sys/socket.h>)
#error \
    "again/http needs POSIX files and sockets (<sys/socket.h>, <poll.h>, <netdb.h>, <unistd.h>): Linux, macOS, BSD, on Windows WSL; again/again.hpp needs none"
#define AGAIN_STOP <the error above says what again needs>
#include AGAIN_STOP
#endif
