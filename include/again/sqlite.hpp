// SPDX-License-Identifier: MIT
/// \file
/// The face of `sqlite/`: a store in one file, for one machine.
#pragma once

#include <again/sqlite/editor.hpp>
#include <again/sqlite/endpoint_editor.hpp>
#include <again/sqlite/options.hpp>
#include <again/sqlite/reader.hpp>
#include <again/sqlite/store.hpp>
