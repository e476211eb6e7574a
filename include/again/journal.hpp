// SPDX-License-Identifier: MIT
/// \file
/// The face of `journal/`: events that are kept until they are finished.
#pragma once

#include <again/journal/durable_observer.hpp>
#include <again/journal/durable_options.hpp>
#include <again/journal/durable_sink.hpp>
#include <again/journal/endpoint_store.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>
#include <again/journal/memory_store.hpp>
#include <again/journal/store.hpp>
