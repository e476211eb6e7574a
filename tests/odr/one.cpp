// SPDX-License-Identifier: MIT
#include "all_headers.hpp"

int the_other_unit();

int main() { return the_other_unit(); }
