// SPDX-License-Identifier: MIT
/// \file
/// The face of `sink/`: events in, exactly one final result each.
#pragma once

#include <again/sink/dead_letters.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/delivery_log.hpp>
#include <again/sink/options.hpp>
#include <again/sink/sink.hpp>
