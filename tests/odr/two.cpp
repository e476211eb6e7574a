// SPDX-License-Identifier: MIT
#include "all_headers.hpp"

int the_other_unit();
int the_other_unit() { return 0; }
