// SPDX-License-Identifier: MIT
/// \file
/// The version, as one comparable number: major * 10000 + minor * 100 + patch.
#pragma once

#define AGAIN_VERSION 100
