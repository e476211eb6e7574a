#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program `deliver`: one result per event, whatever the server, the input and the user do."""
import contextlib
import fcntl
import json
import os
import pty
import re
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Run, Server, event, lines, main, program, taken_in, unread, wait_for  # noqa: E402

OK = {"do": "respond", "status": 202}
FIELDS = ["id", "ok", "status", "error", "reason", "attempts", "elapsed_ms", "line", "trace"]


class Results(unittest.TestCase):
    def test_each_event_is_posted_once_and_has_one_result_line(self):
        with Server({"*": [OK]}) as server:
            run = Run("deliver", server.url("/in"), stdin=lines(*map(event, range(50))))
        self.assertEqual(run.code, 0, run.err)
        self.assertEqual(sorted(r["id"] for r in run.lines), sorted(f"e{i}" for i in range(50)))
        self.assertEqual(list(run.lines[0]), FIELDS)
        self.assertEqual(server.final["requests"], 50)
        seen = {json.loads(r["body"])["id"]: r for r in server.final["seen"]}
        self.assertEqual(len(seen), 50)
        self.assertEqual((seen["e7"]["method"], seen["e7"]["target"]), ("POST", "/in"))
        self.assertEqual(seen["e7"]["headers"]["Content-Type"], "application/cloudevents+json")
        self.assertEqual(run.err, "", "nothing but results when there is no terminal")

    def test_a_final_failure_is_a_result_with_a_reason_and_exit_1(self):
        with Server({"*": [OK], '"/test#e1"': [{"do": "respond", "status": 422}], '"/test#e2"': [{"do": "respond", "status": 503}]},
                    "--key", "Idempotency-Key") as server:
            run = Run("deliver", server.url(), "--no-wait", "--attempts", 3, stdin=lines(*map(event, range(4))))
        self.assertEqual(run.code, 1)
        by_id = {r["id"]: r for r in run.lines}
        self.assertEqual((by_id["e1"]["status"], by_id["e1"]["reason"], by_id["e1"]["attempts"]), (422, "permanent", 1))
        self.assertEqual((by_id["e2"]["status"], by_id["e2"]["reason"], by_id["e2"]["attempts"]), (503, "attempts_exhausted", 3))
        self.assertTrue(by_id["e0"]["ok"] and by_id["e3"]["ok"])
        self.assertEqual(sum(r["attempts"] for r in run.lines), server.final["requests"])

    def test_only_2xx_delivers_unless_another_status_is_accepted(self):
        for status in (300, 301, 302, 303, 304, 307, 308):
            step = {"do": "respond", "status": status, "headers": {"Location": "/elsewhere"}}
            with Server({"*": [step]}) as server:
                refused = Run("deliver", server.url(), stdin=lines(event(1)))
                accepted = Run("deliver", server.url(), "--accept", f"404,{status}", stdin=lines(event(1)))
            self.assertEqual((refused.code, refused.json["ok"], refused.json["status"], refused.json["reason"], refused.json["attempts"]),
                             (1, False, status, "permanent", 1))
            self.assertEqual((accepted.code, accepted.json["ok"], accepted.json["status"]), (0, True, status))
            self.assertEqual({r["target"] for r in server.final["seen"]}, {"/"}, "no redirect is followed")

    def test_private_addresses_are_denied_on_request(self):
        with Server({"*": [OK]}) as server:
            run = Run("deliver", server.url(), "--deny-private", "--follow-redirects", stdin=lines(event(1), event(2)))
        self.assertEqual((run.code, server.final["connections"]), (1, 0))
        self.assertEqual([(r["error"], r["reason"], r["attempts"]) for r in run.lines], [("denied", "permanent", 1)] * 2)
        self.assertIn("is not public (loopback, RFC 1122)", run.lines[0]["detail"])

    def test_a_redirect_to_a_private_address_is_denied_where_the_endpoint_is_public(self):
        # A network of its own, in which a public address is this machine.
        script = """
import http.server, json, subprocess, sys, threading
for words in ("link set lo up", "addr add 1.1.1.1/32 dev lo"):
    if subprocess.run(["ip", *words.split()]).returncode != 0:
        sys.exit(77)
got = {"1.1.1.1": 0, "127.0.0.1": 0}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        got[self.server.server_address[0]] += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(307 if self.server is public else 200)
        self.send_header("Location", f"http://127.0.0.1:{private.server_port}/")
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
public, private = (http.server.ThreadingHTTPServer((host, 0), Handler) for host in got)
for server in (public, private):
    threading.Thread(target=server.serve_forever, daemon=True).start()
runs = [subprocess.run([sys.argv[1], *more, "--follow-redirects", f"http://1.1.1.1:{public.server_port}/"], input=b'{"id":"1"}',
                       stdout=subprocess.PIPE).stdout.decode() for more in (("--deny-private",), ())]
print(json.dumps([got, *map(json.loads, runs)]))
"""
        unshare = ["unshare", "--net", sys.executable, "-c", script, program("deliver")]
        try:
            done = subprocess.run(unshare, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        except FileNotFoundError:
            self.skipTest("needs unshare (Debian: util-linux)")
        if done.returncode == 77 or b"unshare failed" in done.stderr:
            self.skipTest("no network of its own here: " + done.stderr.decode())
        got, denied, followed = json.loads(done.stdout)
        self.assertEqual((denied["ok"], denied["error"], denied["reason"], denied["attempts"]), (False, "denied", "permanent", 1), denied)
        self.assertEqual((followed["ok"], followed["redirects"]), (True, 1), followed)
        self.assertEqual(got, {"1.1.1.1": 2, "127.0.0.1": 1})

    def test_redirects_are_followed_on_request_for_all_endpoints_or_for_one(self):
        with Server([{"do": "respond", "status": 307, "headers": {"Location": "/there"}}, OK] * 2) as server:
            run = Run("deliver", server.url("/in"), "--follow-redirects", stdin=lines(event(1)))
            self.assertEqual((run.code, run.json["status"], run.json["attempts"], run.json["redirects"]), (0, 202, 1, 1))
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                json.dump([{"url": server.url("/in"), "follow-redirects": True}], file)
                file.flush()
                run = Run("deliver", "--endpoints", file.name, stdin=lines(event(2)))
            self.assertEqual((run.code, run.json["redirects"]), (0, 1))
        self.assertEqual([r["target"] for r in server.final["seen"]], ["/in", "/there"] * 2)

    def test_the_status_line_decides_whatever_happens_to_the_body_after_it(self):
        large = "x" * 300_000
        endings = [{"do": "respond", "body": large}, {"do": "respond", "body": large, "chunked": True}, {"do": "respond", "body": large, "no_length": True},
                   {"do": "drip", "body": large}, {"do": "stall_body", "body": "x", "content_length": 5}, {"do": "truncated", "body": "x", "content_length": 9},
                   {"do": "truncated", "body": "x", "content_length": 9, "end": "reset"}, {"do": "raw", "data": "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"}]
        for more in ([], ["--export", 0]):
            with Server({f'"/test#e{i}"': [how] for i, how in enumerate(endings)}, "--key", "Idempotency-Key") as server:
                run = Run("deliver", server.url(), *more, stdin=lines(*map(event, range(len(endings)))))
            self.assertEqual((run.code, len(run.lines)), (0, len(endings)), run.err)
            for result in run.lines:
                self.assertEqual((result["ok"], result["status"], result["attempts"]), (True, 200, 1), result)
            self.assertEqual(server.final["requests"], len(endings))

    def test_the_soft_limit_on_descriptors_is_raised_and_what_does_not_fit_is_said_in_a_line(self):
        def run(server, soft, hard, *arguments, count):
            command = ["sh", "-c", f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"', "sh", program("deliver"), server.url(), *map(str, arguments)]
            return subprocess.run(command, input=lines(*map(event, range(count))), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

        with Server({"*": [{"do": "delay", "ms": 300, "then": OK}]}, "--keep", "0") as server:
            done = run(server, 64, 1024, "--parallel", 100, count=200)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(sum(json.loads(line)["attempts"] for line in done.stdout.splitlines()), 200, "none failed for want of a descriptor")
        with Server({"*": [OK]}) as server:
            done = run(server, 64, 128, "--parallel", 1000, count=5)
            few = run(server, 64, 128, "--parallel", 1000, "--endpoint-parallel", 5, count=5)
        needed = 1000 * int(os.environ.get("AGAIN_CONNECTION_DESCRIPTORS", "1")) + 64  # http::descriptors_per_connection
        self.assertEqual((done.returncode, done.stderr.decode()),
                         (0, f"deliver: 1000 events in flight may need {needed} descriptors, and the limit is 128: "
                             "raise it (ulimit -Hn, LimitNOFILE=), or lower --parallel\n"))
        self.assertEqual((few.returncode, few.stderr), (0, b""))

    def test_attempts_equal_requests_under_all_kinds_of_faults(self):
        faults = [{"do": "close"}, {"do": "reset"}, {"do": "respond", "status": 503}, {"do": "truncated", "content_length": 9, "body": "x"},
                  {"do": "respond", "status": 500}, {"do": "hang", "ms": 8000}]
        script = {f'"/test#e{i}"': [faults[i % len(faults)], OK] for i in range(60)}
        with Server({**script, "*": [OK]}, "--key", "Idempotency-Key") as server:
            run = Run("deliver", server.url(), "--attempt-timeout", "1s", "--base", "5ms", "--parallel", 8,
                      stdin=lines(*map(event, range(120))))
        self.assertEqual(run.code, 0, run.err)
        self.assertEqual(len(run.lines), 120)
        self.assertEqual(sum(r["attempts"] for r in run.lines), server.final["requests"])
        self.assertGreaterEqual(server.final["requests"], 170, "a 2xx that is cut short is a delivery, the other faults cost one more request")
        for r in run.lines:
            self.assertEqual(r["attempts"], len(r["trace"]))
            self.assertEqual(server.final["by_key"][f'"/test#{r["id"]}"'], r["attempts"])

    def test_the_key_is_the_same_on_every_attempt_and_can_be_left_out(self):
        with Server([{"do": "close"}, OK]) as server:
            run = Run("deliver", server.url(), "--no-wait", stdin=lines(event(1)))
        self.assertEqual(run.code, 0)
        self.assertEqual([r["headers"]["Idempotency-Key"] for r in server.final["seen"]], ['"/test#e1"'] * 2)
        with Server([{"do": "close"}, OK]) as server:
            run = Run("deliver", server.url(), "--no-wait", "--no-key", stdin=lines(event(1)))
        self.assertEqual((run.code, run.json["reason"], server.final["requests"]), (1, "not_replayable", 1))
        self.assertNotIn("Idempotency-Key", server.final["seen"][0]["headers"])

    def test_several_urls_take_turns_and_a_retry_moves_on(self):
        with Server({"*": [{"do": "respond", "status": 503}]}) as broken, Server({"*": [OK]}) as good:
            run = Run("deliver", broken.url(), good.url(), "--move-on", "any", "--no-wait", "--parallel", 1, stdin=lines(*map(event, range(4))))
        self.assertEqual(run.code, 0)
        self.assertEqual({r["id"]: r["attempts"] for r in run.lines}, {"e0": 2, "e1": 1, "e2": 2, "e3": 1}, "others go on during a wait")
        self.assertEqual((broken.final["requests"], good.final["requests"]), (2, 4))


    def keys_of(self, text, *arguments):
        """The keys in the order of the lines."""
        with Server({"*": [OK]}) as server:
            run = Run("deliver", server.url(), "--parallel", 1, "--queue", 0, *arguments, stdin=text)
        self.assertEqual(run.code, 0, run.err)
        return [r["headers"]["Idempotency-Key"] for r in server.final["seen"]]

    def test_an_event_with_an_id_has_the_same_key_in_every_run_and_no_two_share_one(self):
        given = [{"id": "42", "state": "new"}, {"id": "42", "state": "paid"}, {"id": "43"}, {"source": "s", "id": "43"},
                 {"id": "ä"}, {"id": "ö"}, event(1, source="a#b", id="c"), event(1, source="a", id="b#c"), event(1, source="/ä")]
        one, two = (self.keys_of(lines(*given)) for _ in range(2))
        self.assertEqual(one, two)
        self.assertEqual(len(set(one)), len(given))
        self.assertIn('"a#b#c"', one)
        self.assertEqual(self.keys_of(lines(given[0], given[0]))[:1] * 2, self.keys_of(lines(given[0], given[0])), "one event that comes twice")

    def test_an_event_without_an_id_in_a_pipe_is_another_one_in_every_run(self):
        text = lines({"type": "ping"}, {"type": "ping"})
        keys = self.keys_of(text) + self.keys_of(text)
        self.assertEqual(len(set(keys)), 4)

    def test_an_event_without_an_id_in_a_file_is_known_by_its_place(self):
        with tempfile.TemporaryDirectory() as folder:
            path, other = os.path.join(folder, "one"), os.path.join(folder, "two")
            for name in (path, other):
                with open(name, "wb") as file:
                    file.write(lines({"type": "ping"}, {"type": "ping"}))
            first = self.keys_of(b"", "--input", path)
            self.assertEqual(len(set(first)), 2)
            self.assertEqual(self.keys_of(b"", "--input", path), first, "the same in the next run")
            with open(path, "ab") as file:
                file.write(lines({"type": "ping"}))
            self.assertEqual(self.keys_of(b"", "--input", path)[:2], first, "and where the file has grown")
            self.assertFalse(set(self.keys_of(b"", "--input", other)) & set(first), "another file")
            with Server({"*": [OK]}) as server, open(path, "rb") as file:  # as stdin, and behind its first line
                file.seek(len(lines({"type": "ping"})))
                subprocess.run([program("deliver"), server.url(), "--parallel", "1", "--queue", "0"], stdin=file, stdout=subprocess.DEVNULL, check=True)
            self.assertEqual(server.final["seen"][0]["headers"]["Idempotency-Key"], first[1])


class Input(unittest.TestCase):
    def test_nothing_is_read_if_the_start_fails(self):
        text = lines(*map(event, range(10)))
        with Server({"*": [OK]}) as server:
            for _ in range(5):  # a thread that read would have little time
                read, write = os.pipe()
                os.write(write, text)
                done = subprocess.run([program("deliver"), server.url(), "--metrics", str(server.port)], stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
                self.assertEqual((done.returncode, unread(read)), (2, len(text)))
                self.assertIn(b"--metrics: cannot listen on 127.0.0.1:", done.stderr)
                os.close(read), os.close(write)

    def test_nothing_is_read_if_the_certificates_cannot_be_read(self):
        read, write = os.pipe()
        os.write(write, lines(event(1)))
        done = subprocess.run([program("deliver"), "https://127.0.0.1:9/", "--cacert", "typo.pem"], stdin=read, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        self.assertEqual((done.returncode, done.stdout, unread(read)), (2, b"", len(lines(event(1)))))
        self.assertEqual(done.stderr, b"deliver: --cacert: 'typo.pem': No such file or directory\n")
        os.close(read), os.close(write)

    def test_a_result_says_why_a_certificate_is_not_trusted(self):
        with Server([{"do": "tls_expired"}], "--tls") as server:
            run = Run("deliver", server.url(), "--cacert", server.authority, stdin=lines(event(1)))
        self.assertEqual((run.code, run.json["error"], run.json["reason"], run.json["attempts"]), (1, "tls_verify", "permanent", 1))
        self.assertTrue(run.json["detail"].endswith("certificate has expired"), run.json["detail"])

    def test_bad_lines_are_reported_by_number_and_do_not_stop_the_rest(self):
        text = b'{"id":"a"}\nnot json\n[1,2]\n\n\xff\xfe\n{"hello":1}\r\n{"specversion":"0.3","id":"x"}\n{"specversion":"1.0","id":"x"}\n{"big":"' + b"x" * 5000 + b'"}\n{"id":"last"}'
        with Server({"*": [OK]}) as server:
            run = Run("deliver", server.url(), "--max-line", "4KiB", stdin=text)
        self.assertEqual(run.code, 1)
        self.assertEqual(sorted((r["line"], r["id"]) for r in run.lines), [(1, "a"), (6, "line-6"), (10, "last")])
        complaints = sorted(run.err.splitlines())
        self.assertEqual([int(c.split(":")[1].split()[1]) for c in complaints], [2, 3, 5, 7, 8, 9])
        self.assertIn("line 2: not delivered: malformed", run.err)
        self.assertIn("line 3: not delivered: unknown: an event is a JSON object, this is array", run.err)
        self.assertIn("line 7: not delivered: unknown: only version 1.0 of CloudEvents", run.err)
        self.assertIn("line 8: not delivered: malformed: a CloudEvent needs 'source'", run.err)
        self.assertIn("line 9: not delivered: oversized: more than 4096 bytes", run.err)
        self.assertEqual(server.final["requests"], 3)

    def sent(self, text):
        """(run, bodies, keys)"""
        with Server({"*": [OK]}) as server:
            run = Run("deliver", server.url(), "--parallel", 1, "--queue", 0, stdin=text)
        seen = server.final["seen"]
        return run, [r["body"] for r in seen], [r["headers"]["Idempotency-Key"] for r in seen]

    def test_what_stands_around_the_object_is_not_sent_and_not_in_its_key(self):
        plain = b'{"id":"a"}'
        run, bodies, keys = self.sent(b"\n".join([plain, plain + b"\r", b" \t" + plain + b" \t\r", b"\xef\xbb\xbf" + plain, b"\r", plain + b"\r"]))
        self.assertEqual((run.code, bodies), (0, [plain.decode()] * 5), run.err)
        self.assertEqual(len(set(keys)), 1)

    def test_anything_beside_the_object_is_refused_with_its_line_number(self):
        object_ = b'{"id":"a"}'
        for beside in (object_ + b"\0", object_ + b"\0\0garbage", b"\0" + object_, object_ + object_, object_ + b" // c", object_ + b",", object_ + b"]",
                       b"[" + object_, object_ + b"\xef\xbb\xbf", b"\x1e" + object_, object_ + b"\r" + object_, object_ + b"\x0c", b"\xc2\xa0" + object_, b'"id"' + object_, b"null" + object_):
            run, bodies, _ = self.sent(b'{"id":"before"}\n' + beside + b'\n{"id":"after"}\n')
            self.assertEqual((run.code, bodies), (1, ['{"id":"before"}', '{"id":"after"}']), beside)
            self.assertTrue(run.err.startswith("deliver: line 2: not delivered: malformed: "), (beside, run.err))
            self.assertEqual(run.err.count("\n"), 1)

    def test_all_of_an_object_is_read_before_any_of_it_is_sent(self):
        bad = [b'"\\ud800"', b'"\\x"', b'"\\u12"', b'"\xff"', b'"\x01"', b"01", b"1.", b".5", b"+1", b"1e", b"--1", b"NaN", b"Infinity", b"tru", b"truex", b"nul",
               b"nulll", b"fals", b"[1,]", b"[1 2]", b"[,]", b'{"a"}', b'{"a":}', b'{"a":1,}', b"{1:2}", b'{"\\ud800":1}', b"'x'", b"", b"[", b"{", b'{"a":1', b"]"]
        text = b"".join(b'{"id":"a","x":%s}\n' % value for value in bad)
        run, bodies, _ = self.sent(text + b'{"id":"a","x":[[[%s]]]}\n' % b"01" + b'{"id":"a","x":[1 }\n')
        self.assertEqual((run.code, bodies, run.out), (1, [], ""))
        self.assertEqual([line.split(": ")[:4] for line in run.err.splitlines()],
                         [["deliver", f"line {n}", "not delivered", "malformed"] for n in range(1, len(bad) + 3)])
        good = [b"0", b"-0", b"1.10", b"1e400", b"-1.5E-7", b"100000000000000000001", b"true", b"false", b"null", b"[]", b"{}", b'[{"a":[null]},"\\ud83d\\ude00"]', "\"ä\"".encode()]
        run, bodies, _ = self.sent(b"".join(b'{"id":"a","x":%s}\n' % value for value in good))
        self.assertEqual((run.code, [b.encode() for b in bodies]), (0, [b'{"id":"a","x":%s}' % value for value in good]), run.err)

    def test_a_number_as_id_keeps_its_text(self):
        ids = ["100000000000000000001", "100000000000000000002", "1.10", "1.1", "-0", "0", "1e400", "12345678901234567.5"]
        run, _, keys = self.sent("".join(f'{{"id":{i} }}\n' for i in ids).encode())
        self.assertEqual((run.code, [r["id"] for r in run.lines], len(set(keys))), (0, ids, len(ids)), run.err)
        run, bodies, _ = self.sent(b"".join(b'{"specversion":"1.0","type":"t","source":"/s","id":%s}\n' % i for i in (b"1", b"null", b"true", b"{}", b'""')))
        self.assertEqual(bodies, [])
        for number, what in enumerate(["is a string, this is number", "is a string, this is null", "is a string, this is boolean", "is a string, this is object", "is empty"], 1):
            self.assertIn(f"line {number}: not delivered: malformed: 'id' of a CloudEvent {what}", run.err)

    def test_a_member_that_decides_the_identity_may_not_be_there_twice(self):
        for name in ("id", "source", "specversion", "type", "partitionkey"):
            run, bodies, _ = self.sent(b'{"%s":"a","x":1,"%s":"b"}\n' % (name.encode(), name.encode().replace(b"s", b"\\u0073")))
            self.assertEqual((run.code, bodies, run.err), (1, [], f"deliver: line 1: not delivered: malformed: '{name}' is there twice\n"))
        run, bodies, _ = self.sent(b'{"x":1,"x":2,"data":{"id":1},"id":"a"}\n')
        self.assertEqual((run.code, [r["id"] for r in run.lines]), (0, ["a"]), run.err)

    def test_nesting_is_bounded(self):
        deep = [b'{"id":"a","x":' + b"[" * n + b"]" * n + b"}\n" for n in (999, 1000, 100_000)]
        run, bodies, _ = self.sent(b"".join(deep))
        self.assertEqual(len(bodies), 1)
        self.assertEqual(run.err, "".join(f"deliver: line {n}: not delivered: malformed: more than 1000 levels of nesting\n" for n in (2, 3)))

    def test_an_empty_input_is_a_success_without_output(self):
        with Server([]) as server:
            run = Run("deliver", server.url())
        self.assertEqual((run.code, run.out, run.err), (0, "", ""))

    def test_input_reads_from_a_file(self):
        with tempfile.NamedTemporaryFile() as file, Server({"*": [OK]}) as server:
            file.write(lines(*map(event, range(3))))
            file.flush()
            run = Run("deliver", "--input", file.name, server.url())
        self.assertEqual((run.code, len(run.lines)), (0, 3))

    def test_memory_stays_bounded_however_long_a_line_is(self):
        with Server({"*": [OK]}) as server:
            child = subprocess.Popen([program("deliver"), server.url()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(64):
                child.stdin.write(b"x" * (1 << 20))
            child.stdin.write(b'\n{"id":"after"}\n')
            child.stdin.close()
            out, err = child.stdout.read(), child.stderr.read()
            child.stdout.close(), child.stderr.close()
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(child.returncode, 1)
        self.assertIn(b"line 1: not delivered: oversized", err)
        self.assertEqual(json.loads(out)["id"], "after")
        if not os.environ.get("ASAN_OPTIONS") and not os.environ.get("TSAN_OPTIONS"):
            self.assertLess(used.ru_maxrss, 256 * 1024)  # KiB; the line alone is 64 MiB


class Interrupted(unittest.TestCase):
    def start(self, *arguments, **how):
        child = subprocess.Popen([program("deliver"), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)
        return child

    def test_ctrl_c_stops_reading_and_lets_running_deliveries_finish(self):
        for what in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with Server({"*": [{"do": "delay", "ms": 700, "then": OK}]}) as server:
                child = self.start("--parallel", "3", "--grace", "20s", server.url())
                child.stdin.write(lines(*map(event, range(3))))
                child.stdin.flush()  # and stays open
                deadline = time.monotonic() + 20
                while server.counts()["requests"] < 3 and time.monotonic() < deadline:
                    time.sleep(0.01)
                child.send_signal(what)
                out = child.stdout.read()  # its input stays open to the end: else it may see that end first
                child.communicate(timeout=30)
            results = [json.loads(line) for line in out.splitlines()]
            self.assertEqual([r["ok"] for r in results], [True] * 3)
            self.assertEqual(child.returncode, 1, "the input was not read to its end")

    def test_after_the_grace_period_they_are_cancelled_and_still_have_results(self):
        with Server({"*": [{"do": "hang"}]}) as server:
            child = self.start("--parallel", "2", "--grace", "100ms", server.url())
            child.stdin.write(lines(*map(event, range(10))))
            child.stdin.flush()
            deadline = time.monotonic() + 20
            while server.counts()["requests"] < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=30)
        results = [json.loads(line) for line in out.splitlines()]
        reasons = sorted(r["reason"] for r in results)
        self.assertEqual(sorted(r["id"] for r in results), sorted(f"e{i}" for i in range(10)), "every event read has its result")
        self.assertEqual(reasons, ["cancelled_before_start"] * 8 + ["cancelled_in_attempt"] * 2)
        self.assertEqual([r["attempts"] for r in results if r["reason"] == "cancelled_before_start"], [0] * 8)
        self.assertEqual(child.returncode, 1)

    def test_a_second_ctrl_c_does_not_wait_for_the_grace_period(self):
        with Server({"*": [{"do": "hang"}]}) as server:
            child = self.start("--grace", "1m", server.url())
            child.stdin.write(lines(event(1)))
            child.stdin.flush()
            deadline = time.monotonic() + 20
            while server.counts()["requests"] < 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            child.send_signal(signal.SIGINT)
            wait_for(lambda: taken_in(child, signal.SIGINT))
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=30)
        self.assertEqual(json.loads(out)["reason"], "cancelled_in_attempt")


class Output(unittest.TestCase):
    def test_a_failing_stderr_costs_no_event_its_result(self):
        text = lines(*map(event, range(5))) + b"malformed\n" + lines(*map(event, range(5, 10)))
        read, gone = os.pipe()
        os.close(read)
        with Server({"*": [{"do": "respond", "status": 503}, OK]}, "--key", "Idempotency-Key") as server, open("/dev/full", "wb") as full:
            for where in (full, gone):
                child = subprocess.run([program("deliver"), server.url(), "--log", "logfmt", "-v", "--no-wait"], input=text, stdout=subprocess.PIPE, stderr=where, timeout=60)
                results = [json.loads(line) for line in child.stdout.splitlines()]
                self.assertEqual(sorted(r["id"] for r in results), sorted(f"e{i}" for i in range(10)))
                self.assertTrue(all(r["ok"] for r in results))
                self.assertEqual(child.returncode, 1, "for the line that was refused")
        os.close(gone)

    def test_a_schedule_that_cannot_be_written_is_not_a_success(self):
        with open("/dev/full", "wb") as full:
            for words in (["--explain"], ["--help"]):
                child = subprocess.run([program("deliver"), *words], stdout=full, stderr=subprocess.PIPE, timeout=60)
                self.assertEqual((child.returncode, child.stderr), (1, b"deliver: stdout cannot be written: No space left on device\n"))

    def test_a_result_file_at_its_size_limit_is_an_error_and_no_crash(self):
        with Server({"*": [OK]}) as server, tempfile.TemporaryFile() as file:
            child = subprocess.run([program("deliver"), server.url()], input=lines(event(1)), stdout=file, stderr=subprocess.PIPE, timeout=60,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)))
        self.assertEqual(child.returncode, 1)
        self.assertIn(b"results cannot be written: File too large", child.stderr)

    def test_closed_standard_streams_are_not_replaced_by_files(self):
        with tempfile.TemporaryDirectory() as folder, Server({"*": [{"do": "respond", "status": 422}]}) as server:
            given, dead = os.path.join(folder, "in"), os.path.join(folder, "dead")
            with open(given, "wb") as file:
                file.write(lines(*map(event, range(3))) + b"malformed\n")
            code = subprocess.run(["sh", "-c", 'exec "$@" <&- 2>&-', "sh", program("deliver"), server.url(), "--input", given, "--dead-letters", dead],
                                  stdout=subprocess.DEVNULL, timeout=60).returncode
            with open(dead) as file:
                letters = [json.loads(line) for line in file]
        self.assertEqual((code, sorted(d["id"] for d in letters)), (1, ["e0", "e1", "e2"]))
        self.assertEqual(server.final["requests"], 3)

    def test_results_that_cannot_be_written_are_not_a_success(self):
        with Server({"*": [OK]}) as server, open("/dev/full", "wb") as full:
            child = subprocess.run([program("deliver"), server.url()], input=lines(*map(event, range(3))), stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(child.returncode, 1)
        self.assertIn(b"results cannot be written: No space left on device", child.stderr)

    def test_progress_is_drawn_on_a_terminal_and_erased_at_the_end(self):
        master, slave = pty.openpty()
        with Server({"*": [OK], '"/test#e1"': [{"do": "respond", "status": 503}, OK]}, "--key", "Idempotency-Key") as server:
            child = subprocess.Popen([program("deliver"), server.url(), "--base", "300ms", "--jitter", "none"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=slave)
            os.close(slave)
            child.stdin.write(lines(*map(event, range(3))))
            child.stdin.close()
            drawn = b""
            while child.poll() is None or select.select([master], [], [], 0)[0]:
                if select.select([master], [], [], 0.1)[0]:
                    try:
                        part = os.read(master, 4096)
                    except OSError:
                        break
                    if not part:
                        break
                    drawn += part
            child.stdout.close()
            child.wait()
        os.close(master)
        text = drawn.decode()
        self.assertIn("delivered", text)
        self.assertIn("retries", text)
        self.assertTrue(text.endswith("\r\x1b[K"), repr(text[-80:]))

    def frames(self, columns, *arguments, until):
        """What is drawn for one event that is delivered and others that hang, until a frame holds `until`; without colours."""
        master, slave = pty.openpty()
        if columns:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with tempfile.NamedTemporaryFile() as file, Server({"*": [{"do": "hang"}], '"/test#e0"': [OK]}, "--key", "Idempotency-Key") as server:
            file.write(lines(*map(event, range(10))))
            file.flush()
            child = subprocess.Popen([program("deliver"), server.url(), "--input", file.name, "--grace", "1m", *arguments], stdout=subprocess.DEVNULL, stderr=slave)
            os.close(slave)
            drawn = b""
            wait_for(lambda: server.counts()["requests"] == 10)
            while until not in drawn.rpartition(b"\r")[2]:
                self.assertTrue(select.select([master], [], [], 20)[0], drawn)
                drawn += os.read(master, 4096)
            for _ in range(2):
                child.send_signal(signal.SIGINT)
                wait_for(lambda: child.poll() is not None or taken_in(child, signal.SIGINT))
            with contextlib.suppress(OSError):
                while os.read(master, 4096):
                    pass
            child.wait(timeout=30)
        os.close(master)
        found = [re.sub("\x1b\\[[0-9;]*[mK]", "", frame) for frame in drawn.decode().split("\r")]
        return [frame for frame in found if frame]

    def test_progress_counts_events_that_are_done_and_not_bytes_that_are_read(self):
        drawn = self.frames(100, until=b"1 delivered")
        self.assertRegex(drawn[0], "^━+ +0 %|^━+ +10 %")
        self.assertRegex(drawn[-1], "^━+  10 %  .*1 delivered")

    def test_progress_fits_the_terminal_or_80_columns(self):
        for columns in (200, 100, 80, 79, 40, 20, 0):
            for frame in self.frames(columns, until=b"1 delivered"):
                self.assertLess(len(frame), columns or 80, frame)

    def test_v_names_event_and_attempt(self):
        with Server([{"do": "respond", "status": 503}, OK]) as server:
            run = Run("deliver", server.url(), "-v", "--no-wait", stdin=lines(event(1)))
        self.assertRegex(run.err.splitlines()[0], r"^e1: attempt 1: 503 \(answered\) in .*, again ")

    def test_explain_prints_the_schedule_and_sends_nothing(self):
        run = Run("deliver", "--explain", "--attempts", "2", "--base", "1s", "--jitter", "none")
        self.assertEqual(run.code, 0)
        self.assertIn("attempt 2  after 1 s", run.out)
        self.assertNotIn("a server may ask for", run.out, "an hour is the default of a policy too")
        for words, said in ((["--retry-after-max", "5m"], "a server may ask for at most 5 min\n"),
                            (["--retry-after-max", "5m", "--over-max", "clamp"], "a server may ask for at most 5 min, more is cut\n"),
                            (["--rules", "curl"], "a server may ask for at most 6 h, more is cut\n"),
                            (["--rules", "go_retryablehttp"], "a server may ask for any wait\n")):
            self.assertIn(said, Run("deliver", "--explain", *words).out, words)


class Escapes(unittest.TestCase):
    EVIL = "\n\r\x1b]0;title\x07\x1b[2J\x9b2J\x7f\u202e\u2028"

    def check(self, text):
        for line in text.split(b"\n"):
            self.assertFalse([c for c in line.decode() if not c.isprintable()], line)

    def test_ids_and_refused_lines_cannot_reach_the_terminal(self):
        events = [{"id": "42" + self.EVIL}, {"specversion": self.EVIL, "id": "a"}, {"specversion": "1.0", "id": "b", "type": self.EVIL}]
        text = b"".join(json.dumps(e, ensure_ascii=ascii).encode() + b"\n" for e in events for ascii in (True, False))
        text += b"not json \x1b]0;title\x07\x9b\n" + b'{"id":"\x1b[31mred\xff"}\n' + b'{"id":"x"} \x1b[2J\n'
        with Server({"*": [{"do": "respond", "status": 400}]}) as server:
            for log in ([], ["--log", "logfmt"], ["--log", "json"]):
                run = subprocess.run([program("deliver"), server.url(), "-v", *log], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
                self.check(run.stderr)
                self.check(run.stdout)
                self.assertIn(b"42\\u000a\\u000d\\u001b]0;title\\u0007", run.stderr)
                self.assertEqual(sum(b": not delivered: " in line for line in run.stderr.splitlines()), 7)

    def test_a_replayed_line_cannot_reach_the_terminal(self):
        letters = [{"id": "1" + self.EVIL, "body": "x"}, {"id": "2", "body": "x", "only": ["there" + self.EVIL]}, {"id": self.EVIL}]
        with Server({"*": [{"do": "respond", "status": 400}]}) as server:
            run = subprocess.run([program("deliver"), server.url(), "--replay", "-v"], input=lines(*letters) + b"\x1b[2J\n",
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.check(run.stderr)
        self.check(run.stdout)
        self.assertIn(b"line 2: not delivered: no endpoint is called 'there\\u000a", run.stderr)

    def test_arguments_and_names_of_endpoints_cannot_reach_the_terminal(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump([{"url": "http://h/a", "name": "a" + self.EVIL}, {"url": "http://h/b", "name": "b", "attempts": 2}], file)
            file.flush()
            explained = subprocess.run([program("deliver"), "--explain", "--endpoints", file.name], stdout=subprocess.PIPE, timeout=60)
        self.assertEqual(explained.returncode, 0)
        self.check(explained.stdout)
        for words in (["--input", "/nowhere/" + self.EVIL], ["--what" + self.EVIL], ["--grace", self.EVIL]):
            run = subprocess.run([program("deliver"), "http://127.0.0.1:9/", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            self.assertEqual((run.returncode, run.stderr.count(b"\n")), (2, 1), run.stderr)
            self.check(run.stderr)


class Usage(unittest.TestCase):
    def test_each_mistake_exits_2_names_the_flag_and_says_what_to_do(self):
        url = "http://127.0.0.1:9/"
        for words, said in [
            ([], "needs a URL to deliver to"),
            (["127.0.0.1:9"], "URL '127.0.0.1:9'"),
            (["http://bob:s3cret@host/in?s3cret#s3cret"], "URL 'http://host/in': user-info"),
            (["host/in?token=s3cret"], "URL 'host/in': "),
            ([url, "-H", "Idempotency-Key: s3cret"], "-H: "),
            ([url, "--grace", "2h"], "--grace: must not be more than 1h"),
            ([url, "--parallel", "0"], "--parallel: '0' is not a whole number from 1 to 65536"),
            ([url, "--input", "/nowhere/at/all"], "--input: cannot read /nowhere/at/all: No such file"),
            ([url, "--input", "/"], "--input: / is a directory"),
            ([url, "--grace", "soon"], "--grace: 'soon' is not a duration"),
            ([url, "--max-line", "x"], "--max-line: 'x' is not a size"),
            ([url, "-H", "Content-Length: 3"], "-H: header 'Content-Length'"),
            ([url, "--what"], "no option --what; deliver --help"),
        ]:
            run = Run("deliver", *words)
            self.assertEqual((run.code, run.out), (2, ""), words)
            self.assertIn(said, run.err, words)
            self.assertNotIn("s3cret", run.err, words)


main()
