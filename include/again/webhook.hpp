// SPDX-License-Identifier: MIT
/// \file
/// Webhooks as Standard Webhooks 1.0 has them: signatures, their keys, verification, and the retry schedule. It needs OpenSSL.
#pragma once

#include <again/webhook/replay_window.hpp>
#include <again/webhook/schedule.hpp>
#include <again/webhook/secret.hpp>
#include <again/webhook/sign.hpp>
#include <again/webhook/signing_keys.hpp>
#include <again/webhook/verify.hpp>
#include <again/webhook/verifying_key.hpp>
