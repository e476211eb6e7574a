#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program `send`: what it prints, what it exits with, what it sends."""
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Run, Server, main, program, wait_for  # noqa: E402

FIELDS = ["ok", "status", "error", "reason", "attempts", "elapsed_ms", "body", "trace"]
TRACE_FIELDS = ["attempt", "status", "error", "reach", "wait_ms", "wait_by"]
OK = {"do": "respond", "status": 200, "body": "fine"}


def status(code, **headers):
    return {"do": "respond", "status": code, "headers": {k.replace("_", "-"): v for k, v in headers.items()}}


class Results(unittest.TestCase):
    def test_a_success_is_one_object_with_all_fields_and_exit_0(self):
        with Server([OK]) as server:
            run = Run("send", "GET", server.url("/x"))
        self.assertEqual(run.code, 0)
        self.assertEqual(list(run.json), FIELDS)
        self.assertEqual(list(run.json["trace"][0]), TRACE_FIELDS)
        for field, value in {"ok": True, "status": 200, "error": None, "reason": None, "attempts": 1, "body": "fine"}.items():
            self.assertEqual(run.json[field], value, field)
        self.assertEqual(run.json["trace"], [{"attempt": 1, "status": 200, "error": None, "reach": "answered", "wait_ms": 0, "wait_by": None}])
        self.assertEqual(run.err, "")

    def test_a_final_failure_names_reason_status_and_body_and_exits_1(self):
        with Server([{"do": "respond", "status": 500, "body": "broken"}] * 3) as server:
            run = Run("send", "GET", server.url(), "--attempts", 3, "--no-wait")
        self.assertEqual(run.code, 1)
        self.assertEqual((run.json["ok"], run.json["status"], run.json["error"], run.json["reason"], run.json["attempts"], run.json["body"]),
                         (False, 500, None, "attempts_exhausted", 3, "broken"))
        self.assertEqual(server.final["requests"], 3)

    def test_an_error_of_the_transport_has_a_name_and_no_status(self):
        with Server([{"do": "truncated", "status": 200, "content_length": 10, "body": "half"}]) as server:
            run = Run("send", "GET", server.url(), "--attempts", 1)
        self.assertEqual((run.code, run.json["status"], run.json["error"], run.json["body"]), (1, None, "truncated", None))
        self.assertEqual(run.json["trace"][0]["reach"], "answered")
        self.assertEqual(run.json["trace"][0]["error"], "truncated")
        self.assertTrue(run.json["detail"])
        self.assertEqual(run.json["trace"][0]["detail"], run.json["detail"], "what is known beyond the name")

    def test_a_body_that_is_not_utf8_still_gives_json(self):
        with Server([{"do": "raw", "data": "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na\u00ffb"}]) as server:
            run = Run("send", "GET", server.url())  # U+00FF goes out as two bytes, of which Content-Length takes one
        self.assertEqual(run.code, 0)
        self.assertTrue(run.json["body"].startswith("a"))

    def test_attempts_equal_what_the_server_saw(self):
        with Server([status(503), {"do": "close"}, {"do": "reset"}, OK]) as server:
            run = Run("send", "GET", server.url(), "--attempts", 5, "--no-wait")
        self.assertEqual((run.code, run.json["attempts"], server.final["requests"]), (0, 4, 4))
        self.assertEqual([a["error"] for a in run.json["trace"]], [None, "closed", "reset", None])

    def test_a_post_that_may_have_been_acted_on_is_not_sent_again(self):
        with Server([{"do": "close"}, OK]) as server:
            run = Run("send", "POST", server.url(), "--body", "order", "--no-wait")
        self.assertEqual((run.code, run.json["reason"], server.final["requests"]), (1, "not_replayable", 1))
        with Server([{"do": "close"}, OK]) as server:
            run = Run("send", "POST", server.url(), "--body", "order", "--no-wait", "--idempotency-key", "auto")
        self.assertEqual((run.code, server.final["requests"]), (0, 2))
        keys = {r["headers"]["Idempotency-Key"] for r in server.final["seen"]}
        self.assertEqual(len(keys), 1)


class Waits(unittest.TestCase):
    def test_no_wait_records_the_waits_and_does_not_sleep_them(self):
        with Server([status(503)] * 3 + [OK]) as server:
            start = time.monotonic()
            run = Run("send", "GET", server.url(), "--no-wait", "--base", "1m", "--cap", "5m", "--jitter", "none", "--deadline", "1h")
            took = time.monotonic() - start
        self.assertEqual([a["wait_ms"] for a in run.json["trace"]], [60_000, 120_000, 240_000, 0])
        self.assertEqual([a["wait_by"] for a in run.json["trace"]], ["backoff"] * 3 + [None])
        self.assertGreaterEqual(run.json["elapsed_ms"], 420_000)
        self.assertLess(took, 60)

    def test_retry_after_is_obeyed_or_ignored(self):
        script = [status(503, Retry_After="7"), OK]
        with Server(script) as server:
            run = Run("send", "GET", server.url(), "--no-wait", "--jitter", "none")
        self.assertEqual((run.json["trace"][0]["wait_ms"], run.json["trace"][0]["wait_by"]), (7000, "server"))
        with Server(script) as server:
            run = Run("send", "GET", server.url(), "--no-wait", "--jitter", "none", "--retry-after", "ignore")
        self.assertEqual((run.json["trace"][0]["wait_ms"], run.json["trace"][0]["wait_by"]), (100, "backoff"))

    def test_a_retry_after_beyond_the_maximum_stops_or_is_clamped(self):
        script = [status(503, Retry_After="20"), OK]
        with Server(script) as server:
            run = Run("send", "GET", server.url(), "--no-wait", "--retry-after-max", "5s")
        self.assertEqual((run.code, run.json["reason"]), (1, "server_delay_too_long"))
        with Server(script) as server:
            run = Run("send", "GET", server.url(), "--no-wait", "--retry-after-max", "5s", "--over-max", "clamp", "--jitter", "none")
        self.assertEqual((run.code, run.json["trace"][0]["wait_ms"]), (0, 5000))

    def test_the_same_seed_gives_the_same_waits(self):
        runs = []
        for seed in (7, 7, 8):
            with Server([status(503)] * 4) as server:
                runs.append([a["wait_ms"] for a in Run("send", "GET", server.url(), "--no-wait", "--seed", seed).json["trace"]])
        self.assertEqual(runs[0], runs[1])
        self.assertNotEqual(runs[0], runs[2])

    def test_a_series_of_delays_is_used_as_given(self):
        with Server([status(503)] * 4) as server:
            run = Run("send", "GET", server.url(), "--no-wait", "--backoff", "fixed:1s,3s", "--jitter", "none")
        self.assertEqual([a["wait_ms"] for a in run.json["trace"]], [1000, 3000, 3000, 0])

    def test_the_deadline_ends_a_wait_that_cannot_fit(self):
        with Server([status(503)]) as server:
            run = Run("send", "GET", server.url(), "--base", "9s", "--deadline", "2s", "--jitter", "none")
        self.assertEqual((run.code, run.json["reason"], run.json["attempts"]), (1, "deadline_too_near", 1))

    def test_a_silent_server_costs_one_attempt_timeout(self):
        with Server([{"do": "hang"}, OK]) as server:
            run = Run("send", "GET", server.url(), "--attempt-timeout", "100ms", "--no-wait")
        self.assertEqual((run.code, run.json["trace"][0]["error"]), (0, "timeout"))


class Cancelling(unittest.TestCase):
    def test_an_attempt_is_cut_short_and_says_cancelled(self):
        with Server([{"do": "hang"}]) as server:
            run = Run("send", "GET", server.url(), "--cancel-after", "50ms")
        self.assertEqual((run.code, run.json["reason"], run.json["error"]), (1, "cancelled_in_attempt", "cancelled"))
        self.assertLess(run.json["elapsed_ms"], 5000)

    def test_a_wait_is_cut_short_and_the_last_real_error_stays(self):
        with Server([status(503)]) as server:
            run = Run("send", "GET", server.url(), "--cancel-after", "500ms", "--base", "10s", "--jitter", "none")
        self.assertEqual((run.code, run.json["reason"], run.json["status"]), (1, "cancelled_in_delay", 503))


class Requests(unittest.TestCase):
    def test_method_headers_and_body_arrive_as_given(self):
        with Server([OK]) as server:
            run = Run("send", "PUT", server.url("/a?b=c"), "-H", "X-One: 1", "-H", "X-Two:2", "--body", "text")
        self.assertEqual(run.code, 0)
        seen = server.final["seen"][0]
        self.assertEqual((seen["method"], seen["target"], seen["body"]), ("PUT", "/a?b=c", "text"))
        self.assertEqual((seen["headers"]["X-One"], seen["headers"]["X-Two"]), ("1", "2"))

    def test_a_file_is_read_again_for_each_attempt(self):
        with tempfile.NamedTemporaryFile() as file, Server([status(503), OK]) as server:
            file.write(b"from a file")
            file.flush()
            run = Run("send", "PUT", server.url(), "--body-file", file.name, "--no-wait")
        self.assertEqual((run.code, [r["body"] for r in server.final["seen"]]), (0, ["from a file"] * 2))

    def test_a_file_is_opened_once(self):
        with tempfile.TemporaryDirectory() as folder, Server([{"do": "delay", "ms": 100, "then": status(503)}, OK]) as server:
            path = os.path.join(folder, "body")
            with open(path, "w") as file:
                file.write("the first")
            child = subprocess.Popen([program("send"), "PUT", server.url(), "--body-file", path, "--no-wait"], stdout=subprocess.PIPE)
            wait_for(lambda: server.counts()["requests"] >= 1)
            with open(path + ".new", "w") as file:
                file.write("another one")
            os.rename(path + ".new", path)
            child.communicate(timeout=60)
        self.assertEqual((child.returncode, [r["body"] for r in server.final["seen"]]), (0, ["the first"] * 2))

    def test_a_pipe_is_a_body_that_can_be_read_once(self):
        with tempfile.TemporaryDirectory() as folder, Server([OK]) as server:
            fifo = os.path.join(folder, "fifo")
            os.mkfifo(fifo)
            refused = Run("send", "PUT", server.url(), "--body-file", fifo)
            self.assertEqual((refused.code, refused.out, refused.err), (2, "", f"send: --body-file: {fifo} can be read only once: add --one-shot-body\n"))
            repeated = Run("send", "PUT", server.url(), "--body-file", fifo, "--one-shot-body", "--repeat", 2)
            self.assertEqual((repeated.code, repeated.err), (2, f"send: --repeat: {fifo} can be read only once\n"))
            child = subprocess.Popen([program("send"), "PUT", server.url(), "--one-shot-body", "--body-file", fifo], stdout=subprocess.PIPE)
            with open(fifo, "w") as file:  # waits for its reader
                file.write("hello")
            out, _ = child.communicate(timeout=60)
            self.assertEqual((child.returncode, json.loads(out)["attempts"]), (0, 1))
        self.assertEqual(server.final["seen"][0]["body"], "hello")

    def test_a_pipe_without_a_writer_costs_no_more_than_the_bounds_of_the_call(self):
        with tempfile.TemporaryDirectory() as folder, Server([OK] * 3) as server:
            fifo = os.path.join(folder, "fifo")
            os.mkfifo(fifo)
            send = ["send", "PUT", server.url(), "--one-shot-body", "--body-file", fifo]
            timed_out = Run(*send, "--attempt-timeout", "100ms", "--deadline", "200ms")
            self.assertEqual((timed_out.code, timed_out.json["attempts"]), (1, 1))
            cancelled = Run(*send, "--cancel-after", "50ms", "--attempt-timeout", "1h", "--deadline", "2h")
            self.assertEqual((cancelled.code, cancelled.json["reason"]), (1, "cancelled_in_attempt"))

    def test_a_one_shot_body_is_sent_once(self):
        with Server([status(503), OK]) as server:
            run = Run("send", "PUT", server.url(), "--body", "x", "--one-shot-body", "--no-wait")
        self.assertEqual((run.code, run.json["reason"], run.json["status"], server.final["requests"]), (1, "not_replayable", 503, 1))

    def test_an_accepted_status_is_a_success(self):
        with Server([status(404)]) as server:
            run = Run("send", "GET", server.url(), "--accept", "404,410")
        self.assertEqual((run.code, run.json["ok"], run.json["status"]), (0, True, 404))

    def test_rules_by_name_and_by_list(self):
        with Server([status(418), OK]) as server:
            run = Run("send", "GET", server.url(), "--retry-statuses", "418", "--no-wait")
        self.assertEqual(run.code, 0)
        with Server([status(503), OK]) as server:
            run = Run("send", "GET", server.url(), "--rules", "none", "--no-wait")
        self.assertEqual((run.code, run.json["reason"]), (1, "permanent"))
        with Server([{"do": "close"}, OK]) as server:
            run = Run("send", "GET", server.url(), "--retry-errors", "timeout", "--no-wait")
        self.assertEqual((run.code, run.json["error"], run.json["reason"]), (1, "closed", "permanent"))

    def test_repeat_prints_a_line_per_call_with_a_full_budget_each(self):
        with Server([status(503), OK, status(503), OK]) as server:
            run = Run("send", "GET", server.url(), "--repeat", 2, "--attempts", 2, "--no-wait")
        self.assertEqual((run.code, [r["attempts"] for r in run.lines], server.final["requests"]), (0, [2, 2], 4))

    def test_a_warm_up_is_not_reported_and_leaves_its_connection(self):
        with Server([OK, OK]) as server:
            run = Run("send", "GET", server.url("/real"), "--warm-up", "/warm")
        self.assertEqual((run.json["attempts"], server.final["requests"], server.final["connections"]), (1, 2, 1))

    def test_tls_is_verified_against_the_given_authority(self):
        with Server([OK], "--tls") as server:
            run = Run("send", "GET", server.url(), "--cacert", server.authority)
            self.assertEqual(run.code, 0)
            run = Run("send", "GET", server.url(), "--attempts", 1, "-v")
        self.assertEqual((run.code, run.json["error"]), (1, "tls_verify"))
        self.assertIn("unable to get local issuer certificate", run.json["detail"])
        self.assertEqual(run.json["trace"][0]["detail"], run.json["detail"])
        self.assertIn(run.json["detail"], run.err)

    def test_certificates_that_cannot_be_read_are_a_wrong_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            garbage = os.path.join(folder, "gar\rbage.pem")
            with open(garbage, "w") as file:
                file.write("no certificate")
            missing = os.path.join(folder, "typo.pem")
            for path, shown, reason in ((missing, missing, "No such file or directory"), (garbage, "gar\\u000dbage.pem", "")):
                run = Run("send", "POST", "https://127.0.0.1:9/", "--cacert", path, "--body-file", "/dev/stdin", stdin=b"body")
                self.assertEqual((run.code, run.out), (2, ""))
                self.assertRegex(run.err, r"\Asend: --cacert: '[^\n]*': [^\n]+\n\Z")
                self.assertIn(shown, run.err)
                self.assertIn(reason, run.err)

    def test_private_addresses_are_denied_on_request(self):
        with Server([OK]) as server:
            run = Run("send", "POST", server.url(), "--body", "x", "--deny-private")
            self.assertEqual((run.code, run.json["error"], run.json["reason"], run.json["attempts"]), (1, "denied", "permanent", 1))
            self.assertEqual(run.json["detail"], "'127.0.0.1': 127.0.0.1 is not public (loopback, RFC 1122)")
            self.assertEqual(run.json["trace"][0]["reach"], "not_sent")
            named = Run("send", "GET", f"http://localhost:{server.port}/", "--deny-private")
            self.assertEqual((named.code, named.json["error"]), (1, "denied"))
        self.assertEqual(server.final["connections"], 0)

    def test_a_response_larger_than_allowed_is_an_error(self):
        with Server([{"do": "respond", "status": 200, "body": "x" * 2000}]) as server:
            run = Run("send", "GET", server.url(), "--max-body", "1KiB")
        self.assertEqual((run.code, run.json["error"], run.json["reason"]), (1, "too_large", "permanent"))

    def test_a_request_that_cannot_be_sent_names_the_flag_and_is_a_result_too(self):
        url = "http://127.0.0.1:9/"
        for words, part, said in [
            (["GET", url, "-H", "X: a\rb"], "-H: ", "its value contains"),
            (["GET", url, "-H", "X : a"], "-H: ", "a header's name contains a space"),
            (["GET", url, "-H", "Host: x"], "-H: ", "header 'Host' is set by the transport alone"),
            (["GET", url, "-H", "Content-Length: 3"], "-H: ", "'Content-Length'"),
            (["GET", url, "-H", "Expect: 100-continue"], "-H: ", "'Expect'"),
            (["GET", url, "--idempotency-key", ""], "--idempotency-key: ", ""),
            (["GET", url, "--idempotency-key", "\u00e9"], "--idempotency-key: ", ""),
            (["GET", url, "--idempotency-key", "a", "-H", "Idempotency-Key: b"], "--idempotency-key: ", "-H gives an Idempotency-Key already"),
            (["G T", url], "METHOD: ", "not a token"),
            (["", url], "METHOD: ", "not a token"),
            (["CONNECT", url], "METHOD: ", "proxies"),
            (["TRACE", url, "--body", "x"], "--body: ", "TRACE carries no body"),
            (["TRACE", url, "--body-file", __file__], "--body-file: ", "TRACE carries no body"),
            (["GET", url, "--warm-up", "/a b"], "--warm-up: ", "space"),
            (["GET", "ftp://127.0.0.1/"], "URL: ", "only http:// and https://"),
            (["GET", "http://bob:s3cret@127.0.0.1/"], "URL: ", "user-info"),
        ]:
            run = Run("send", *words)
            self.assertEqual((run.code, run.json["error"], run.json["reason"], run.json["attempts"]), (2, "invalid_request", "permanent", 0), words)
            self.assertTrue(run.err.startswith("send: " + part), run.err)
            self.assertIn(said, run.err)
            self.assertEqual(run.err, f"send: {run.json['detail']}\n")
            self.assertNotIn("s3cret", run.err + run.out)


class Verbose(unittest.TestCase):
    def test_v_writes_one_line_per_attempt_to_stderr(self):
        with Server([status(503), OK]) as server:
            run = Run("send", "GET", server.url(), "-v", "--no-wait")
        first, second = run.err.splitlines()
        self.assertRegex(first, r"^attempt 1: 503 \(answered\) in .*, again in .* \(backoff\)$")
        self.assertRegex(second, r"^attempt 2: 200 in ")


    def test_v_of_a_failure_is_one_line_per_attempt_as_well(self):
        with Server([status(503)] * 2) as server:
            run = Run("send", "GET", server.url(), "-v", "--no-wait", "--attempts", 2)
        self.assertEqual(len(run.err.splitlines()), 2)
        self.assertTrue(run.err.endswith(", stopped: attempts_exhausted\n"))


class Redirects(unittest.TestCase):
    def test_a_redirect_is_the_response_unless_it_is_to_be_followed(self):
        with Server([status(302, Location="/there"), OK]) as server:
            run = Run("send", "GET", server.url("/here"))
            self.assertEqual((run.code, run.json["status"]), (0, 302))
        with Server([status(302, Location="/there"), OK]) as server:
            run = Run("send", "GET", server.url("/here"), "--follow-redirects")
        self.assertEqual((run.code, run.json["status"], run.json["body"], run.json["attempts"]), (0, 200, "fine", 1))
        self.assertEqual([r["target"] for r in server.final["seen"]], ["/here", "/there"])


class Usage(unittest.TestCase):
    def test_each_mistake_exits_2_names_the_flag_and_says_what_to_do(self):
        url = "http://127.0.0.1:9/"
        for words, said in [
            ([], "needs a method and a URL"),
            (["GET"], "needs a method and a URL"),
            (["GET", "127.0.0.1:9"], "write it like http://127.0.0.1:9"),
            (["GET", "bob:s3cret@127.0.0.1:9/?s3cret"], "URL: '127.0.0.1:9/' has no scheme; write it like http://127.0.0.1:9/"),
            (["GET", url, "--nonsense"], "no option --nonsense; send --help"),
            (["GET", url, "--base"], "--base needs a value: --base D"),
            (["GET", url, "--base", "10"], "--base: '10' is not a duration; write it like 250ms, 2s or 1m"),
            (["GET", url, "--base", "-1s"], "--base: '-1s' is not a duration"),
            (["GET", url, "--base=1s", "--cap=10ms"], "--base must not exceed --cap"),
            (["GET", url, "--attempts", "0"], "--attempts: '0' is not a whole number"),
            (["GET", url, "--attempts", "two"], "--attempts: 'two'"),
            (["GET", url, "--factor", "0.5"], "--factor must be"),
            (["GET", url, "--jitter", "2"], "--jitter as a share must be between 0 and 1"),
            (["GET", url, "--jitter", "some"], "--jitter: no jitter is called 'some'"),
            (["GET", url, "--backoff", "quadratic"], "--backoff: no backoff is called 'quadratic'"),
            (["GET", url, "--attempt-timeout", "2m"], "--attempt-timeout must not exceed --deadline"),
            (["GET", url, "--deadline", "0"], "--deadline must be more than 0"),
            (["GET", url, "--rules", "chrome"], "--rules: no rules are called 'chrome'"),
            (["GET", url, "--retry-statuses", "abc"], "--retry-statuses: 'abc'"),
            (["GET", url, "--retry-after", "maybe"], "--retry-after: 'maybe' is neither obey nor ignore"),
            (["GET", url, "-H", "no colon"], "-H: a header field is written 'Name: value'"),
            (["GET", url, "--max-body", "lots"], "--max-body: 'lots' is not a size"),
            (["GET", url, "--body", "a", "--body-file", "b"], "--body and --body-file exclude each other"),
            (["GET", url, "--body-file", "/nowhere/at/all"], "--body-file: cannot read /nowhere/at/all: No such file or directory"),
            (["GET", url, "--body-file", "/tmp"], "--body-file: cannot read /tmp: Is a directory"),
            (["GET", url, "--deadline", "infs"], "--deadline: 'infs' is not a duration"),
            (["GET", url, "--warm-up", "quote"], "--warm-up: 'quote' is no path; write it like /quote"),
            (["GET", url, "-v=1"], "no option -v=1"),
            (["GET", url, "--no-wait=1"], "--no-wait takes no value"),
        ]:
            run = Run("send", *words)
            self.assertEqual((run.code, run.out), (2, ""), words)
            self.assertIn(said, run.err, words)
            self.assertEqual(run.err.count("\n"), 1, run.err)
            self.assertNotIn("s3cret", run.err)

    def test_a_result_that_cannot_be_written_is_not_a_success(self):
        with Server([OK]) as server, open("/dev/full", "wb") as full:
            done = subprocess.run([program("send"), "GET", server.url()], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (1, b"send: stdout cannot be written: No space left on device\n"))
        with Server([{"do": "respond", "status": 503}, OK]) as server, open("/dev/full", "wb") as full:
            done = subprocess.run([program("send"), "GET", server.url(), "-v", "--no-wait"], stdout=subprocess.PIPE, stderr=full, timeout=60)
        self.assertEqual((done.returncode, json.loads(done.stdout)["attempts"]), (0, 2))

    def test_help_lists_the_options_and_exits_0(self):
        run = Run("send", "--help")
        self.assertEqual(run.code, 0)
        self.assertIn("--attempt-timeout D", run.out)


main()
