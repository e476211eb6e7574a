// SPDX-License-Identifier: MIT
#pragma once

#include "../../../folly_lookalike.hpp"
