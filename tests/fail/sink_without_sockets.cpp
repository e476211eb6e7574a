// SPDX-License-Identifier: MIT
// FLAGS: -D_WIN32
// EXPECT: again/http needs POSIX files and sockets (<sys/socket.h>, <poll.h>, <netdb.h>, <unistd.h>): Linux, macOS, BSD, on Windows WSL; again/again.hpp needs none
#include <again/sink.hpp>
