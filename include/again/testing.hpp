// SPDX-License-Identifier: MIT
/// \file
/// The face of `testing/`: scripted operations and injected faults for tests of code that retries.
#pragma once

#include <again/testing/chaos.hpp>
#include <again/testing/script.hpp>
