// SPDX-License-Identifier: MIT
/// \file
/// The face of `metrics/`: counters and histograms of calls, as Prometheus text.
#pragma once

#include <again/metrics/metrics.hpp>
