// SPDX-License-Identifier: MIT
/// \file
/// HTTP: messages, errors, rules, the client and its default transport over cpp-httplib. `again.hpp` is the rest.
#pragma once

#include <again/http/attempt_hook.hpp>
#include <again/http/body.hpp>
#include <again/http/client.hpp>
#include <again/http/error.hpp>
#include <again/http/error_kind.hpp>
#include <again/http/headers.hpp>
#include <again/http/idempotency.hpp>
#include <again/http/invalid.hpp>
#include <again/http/message.hpp>
#include <again/http/method.hpp>
#include <again/http/redirect.hpp>
#include <again/http/retry_after.hpp>
#include <again/http/rules.hpp>
#include <again/http/special_address.hpp>
#include <again/http/status.hpp>
#include <again/http/transport.hpp>
#include <again/http/url.hpp>
#include <again/httplib/client.hpp>
#include <again/httplib/transport.hpp>
