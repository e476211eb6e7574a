// SPDX-License-Identifier: MIT
/// \file
/// The face of `nats/`: a store on NATS JetStream, for many machines.
#pragma once

#include <again/nats/editor.hpp>
#include <again/nats/endpoint_editor.hpp>
#include <again/nats/options.hpp>
#include <again/nats/reader.hpp>
#include <again/nats/store.hpp>
