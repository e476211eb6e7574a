// SPDX-License-Identifier: MIT
// FLAGS: -D_WIN32
// EXPECT: again/http needs a system with POSIX sockets (Linux, macOS, BSD; on Windows: WSL); again/again.hpp needs none
#include <again/http.hpp>
