// SPDX-License-Identifier: MIT
/// \file
/// The face of `sink/`: events go in, and each gets exactly one final result.
#pragma once

#include <again/sink/dead_letters.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/delivery_log.hpp>
#include <again/sink/delivery_observer.hpp>
#include <again/sink/endpoint_state.hpp>
#include <again/sink/event.hpp>
#include <again/sink/options.hpp>
#include <again/sink/sink.hpp>
