#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Other clients' own test cases (tests/data/http_cases.json) once more, through the program `send`: its flags say all that they need."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Run, Server, main  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
with open(os.path.join(ROOT, "tests", "data", "http_cases.json"), encoding="utf-8") as cases_file:
    FILE = json.load(cases_file)

SLOWLY = 4  # times as long as the file says, timeouts and delays alike: they decide the same on a machine that is busy
PRESETS = {"rfc_strict": "rfc9110", "rfc": "rfc9110_refusals", "okhttp_503": "okhttp"}


def slow(step):
    step = dict(step)
    if "ms" in step:
        step["ms"] *= SLOWLY
    if isinstance(step.get("then"), dict):
        step["then"] = slow(step["then"])
    return step


def arguments(case, server):
    over, entry = case.get("policy_override", {}), FILE["policies"][case["policy"]]
    request = case["request"]
    url = case["url"].replace("{port}", str(server.port)) if "url" in case else server.url(request["path"])
    words = ["send", request["method"], url, "--rules", PRESETS.get(case["policy"], case["policy"]), "--jitter", "none", "--backoff", "constant",
             "--attempts", over.get("max_attempts", entry["max_attempts"]),
             "--deadline", f'{over["max_total_s"]}s' if "max_total_s" in over else "200h", "--cacert", server.authority]
    if any(step["do"] == "refuse" for step in case["server"]):
        words += ["--base", "700ms"]  # a real wait: the server has to notice the refused connection first
    else:
        words += ["--no-wait", "--base", f'{over.get("base_delay_ms", entry["base_delay_ms"])}ms']
    if "body_size" in case:
        words += ["--body", "b" * 100_000]  # what fits on a command line
    elif "body" in request:
        words += ["--body", request["body"]]
    if not over.get("body_replayable", True):
        words.append("--one-shot-body")
    if "statuses" in over:
        words += ["--retry-statuses", ",".join(map(str, over["statuses"]))]
    if "methods" in over:
        words += ["--retry-methods", ",".join(over["methods"]) or "none"]
    if "max_retry_after_s" in over:
        words += ["--retry-after-max", f'{int(over["max_retry_after_s"] * 1000)}ms']
    if over.get("follow_redirects"):
        words.append("--follow-redirects")
    if case.get("warmup"):
        words += ["--warm-up", "/warm-up"]
    for name, value in case.get("headers", {}).items():
        words += ["-H", f"{name}: {value}"]
    for field, flag in (("attempt_timeout_ms", "--attempt-timeout"), ("cancel_after_ms", "--cancel-after")):
        if field in case:
            words += [flag, f"{SLOWLY * case[field]}ms"]
    if "repeat_call" in case:
        words += ["--repeat", case["repeat_call"]]
    return words


class Cases(unittest.TestCase):
    def play(self, case):
        with Server([slow(step) for step in case["server"]], *(["--tls"] if case.get("scheme") == "https" else [])) as server:
            run = Run(*arguments(case, server))
        warm = 1 if case.get("warmup") else 0
        seen, last, expected = server.final["requests"] - warm, run.lines[-1], case["expected_outcome"]
        self.assertEqual(seen, case["expected_attempts_seen"])
        sent = sum(a["reach"] != "not_sent" for line in run.lines for a in line["trace"])
        if not case.get("policy_override", {}).get("follow_redirects"):
            self.assertEqual(seen, sent)
        self.assertEqual(last["error"], expected.get("error"))
        self.assertEqual(last["status"], expected.get("status"))
        if "body" in expected:
            self.assertEqual(last["body"], expected["body"])
        if "expected_waits_s" in case:
            waits = [a["wait_ms"] / 1000 for a in last["trace"][:-1]]
            self.assertEqual(len(waits), len(case["expected_waits_s"]))
            for wait, least in zip(waits, case["expected_waits_s"]):
                self.assertGreaterEqual(wait, least - case.get("wait_tolerance_s", 0))
        self.assertEqual(run.code, 0 if last["ok"] else 2 if last["error"] == "invalid_request" else 1)


def played(case):
    return lambda self: self.play(case)


for one in FILE["cases"]:
    if one.get("optional") or "user_predicate" in one.get("policy_override", {}):  # resuming with Range; a predicate is code
        continue
    test = played(one)
    test.__doc__ = f'{one["id"]}: {one["source"]}'
    setattr(Cases, "test_" + one["id"].replace("-", "_"), test)

main()
