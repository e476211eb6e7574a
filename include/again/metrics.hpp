// SPDX-License-Identifier: MIT
/// \file
/// The face of `metrics/`: counters and histograms, the numbers of retries, and the Prometheus text of both.
#pragma once

#include <again/metrics/counter.hpp>
#include <again/metrics/histogram.hpp>
#include <again/metrics/page.hpp>
#include <again/metrics/retry_metrics.hpp>
