// SPDX-License-Identifier: MIT
/// \file
/// CloudEvents 1.0 over HTTP: events and their rules, the three content modes, filters on attributes, and the permission that a receiver
/// of webhooks gives.
#pragma once

#include <again/cloudevents/event.hpp>
#include <again/cloudevents/filter.hpp>
#include <again/cloudevents/http_binding.hpp>
#include <again/cloudevents/json_format.hpp>
#include <again/cloudevents/permission.hpp>
