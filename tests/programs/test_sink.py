#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`deliver` as the sink's front: dead letters and replay, endpoints, order, signals, metrics, export, logs."""
import contextlib
import json
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Pipe, Run, Server, Service, curl, event, lines, main, samples, taken_in, unread, wait_for  # noqa: E402

OK = {"do": "respond", "status": 202}
NO = {"do": "respond", "status": 422}
BUSY = {"do": "respond", "status": 503}
FAULTS = [{"do": "close"}, {"do": "reset"}, BUSY, {"do": "truncated", "content_length": 9, "body": "x"}, {"do": "respond", "status": 500},
          {"do": "garbage"}, {"do": "hang", "ms": 3000}, {"do": "stall_body", "body": "x", "content_length": 5, "ms": 3000}, {"do": "respond", "status": 429}, NO,
          {"do": "drip", "body": "slow", "interval_ms": 5}, {"do": "slice", "then": OK}, {"do": "delay", "ms": 50, "then": OK},
          {"do": "raw", "data": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n"}, {"do": "respond", "status": 502, "no_length": True},
          {"do": "respond", "status": 503, "headers": {"Retry-After": "0"}}]


class Endpoints(unittest.TestCase):
    def test_a_retry_leaves_a_dead_or_busy_endpoint_and_stays_with_it_on_request(self):
        with Server({"*": [OK]}) as good, Server({"*": [OK]}) as other:
            run = Run("deliver", "http://127.0.0.1:9/", good.url(), other.url(), "--base", "1ms",
                      "--parallel", 60, stdin=lines(*map(event, range(30))))  # so that none of them ever has its share
        self.assertEqual(run.code, 0, run.err)
        self.assertEqual(good.final["requests"] + other.final["requests"], 30)
        self.assertEqual(sum(r["attempts"] for r in run.lines), 40, "ten went to the dead one first")
        with Server({"*": [BUSY]}) as busy, Server({"*": [OK]}) as good:
            run = Run("deliver", busy.url(), good.url(), "--no-wait", "--parallel", 1, "--queue", 0, stdin=lines(event(0)))
        self.assertEqual((run.code, run.json["attempts"], busy.final["requests"], good.final["requests"]), (0, 2, 1, 1))
        with Server({"*": [BUSY]}) as busy, Server({"*": [OK]}) as good:
            run = Run("deliver", busy.url(), good.url(), "--move-on", "unanswered", "--no-wait", "--parallel", 1, "--queue", 0, stdin=lines(event(0)))
        self.assertEqual((run.code, run.json["attempts"], busy.final["requests"], good.final["requests"]), (1, 4, 4, 0))

    def test_to_all_has_one_result_with_the_outcome_of_each(self):
        with Server({"*": [NO]}) as never, Server([BUSY, {"do": "close"}, OK]) as later, Server({"*": [OK]}) as now:
            run = Run("deliver", "--to", "all", never.url("/a"), later.url("/b"), now.url("/c"), "--no-wait", stdin=lines(event(1)))
        result = run.json
        self.assertEqual((run.code, result["ok"], result["reason"], result["status"], result["attempts"]), (1, False, "permanent", 422, 5))
        self.assertEqual([(e["endpoint"], e["ok"], e["attempts"]) for e in result["endpoints"]],
                         [(never.url("/a"), False, 1), (later.url("/b"), True, 3), (now.url("/c"), True, 1)])
        self.assertEqual([s.final["requests"] for s in (never, later, now)], [1, 3, 1])
        keys = {r["headers"]["Idempotency-Key"] for s in (never, later, now) for r in s.final["seen"]}
        self.assertEqual(keys, {'"/test#e1"'})

    def test_each_endpoint_of_a_file_has_its_own_flags(self):
        with Server({"*": [BUSY]}) as one, Server({"*": [BUSY]}) as two, tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump([{"url": one.url(), "name": "patient", "attempts": 6, "H": "Authorization: Bearer x"},
                       {"url": two.url(), "name": "strict", "rules": "none"}], file)
            file.flush()
            run = Run("deliver", "--endpoints", file.name, "--to", "all", "--no-wait", "-H", "X-All: 1", stdin=lines(event(1)))
        self.assertEqual([(e["endpoint"], e["attempts"]) for e in run.json["endpoints"]], [("patient", 6), ("strict", 1)])
        self.assertEqual(one.final["seen"][0]["headers"]["Authorization"], "Bearer x")
        self.assertNotIn("Authorization", two.final["seen"][0]["headers"])
        self.assertEqual(two.final["seen"][0]["headers"]["X-All"], "1")

    def test_members_of_an_endpoints_file_are_used_or_refused_by_name(self):
        with Server({"*": [BUSY]}) as server, tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            def run(*arguments, **members):
                file.seek(0), file.truncate()
                json.dump([{"url": server.url(), **members}], file)
                file.flush()
                return Run("deliver", "--endpoints", file.name, "--no-wait", *arguments, stdin=lines(event(1)))

            several = run("--attempts", 2, "--", server.url("/more"), "--to", "all", attempts=3, H=["X-A: 1", "X-B: 2"])
            self.assertIn("URL '--to'", several.err, "what follows -- is a URL")
            both = run("--attempts", 2, "--to", "all", "--", server.url("/more"), attempts=3, H=["X-A: 1", "X-B: 2"])
            self.assertEqual([(e["endpoint"], e["attempts"]) for e in both.json["endpoints"]], [(server.url("/more"), 2), (server.url("/"), 3)])
            for members, said in (({"cacert": "x.pem"}, "'cacert' is not an endpoint's own"), ({"seed": 1}, "'seed' is not an endpoint's own"),
                                  ({"to": "all"}, "'to' is not an endpoint's own"), ({"name": 5}, "'name' is not a string"),
                                  ({"attempts": [1, 2]}, "'attempts' is neither a string nor a number"), ({"attempts": True}, "'attempts' is neither"),
                                  ({"attempts": 0}, "--attempts: '0' is not a whole number"), ({"url": "http://bob:s3cret@h/?s3cret"}, "http://h/: URL 'http://h/': user-info")):
                bad = run(**members)
                self.assertEqual((bad.code, bad.out), (2, ""), members)
                self.assertIn("--endpoints: ", bad.err)
                self.assertIn(said, bad.err)
                self.assertNotIn("s3cret", bad.err)
        seen = [r["headers"] for r in server.final["seen"] if r["target"] == "/"]
        self.assertEqual([(h["X-A"], h["X-B"]) for h in seen], [("1", "2")] * 3)

    def test_either_all_endpoints_have_a_content_type_or_none(self):
        with Server({"*": [OK]}) as server, tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump([{"url": server.url("/a"), "H": "Content-Type: application/x"}], file)
            file.flush()
            alone = Run("deliver", "--endpoints", file.name, stdin=lines(event(1)))
            mixed = Run("deliver", "--endpoints", file.name, server.url("/b"), stdin=lines(event(2)))
        self.assertEqual((alone.code, server.final["seen"][0]["headers"]["Content-Type"]), (0, "application/x"))
        self.assertEqual((mixed.code, server.final["requests"]), (2, 1))
        self.assertIn("a Content-Type for some endpoints only", mixed.err)

    def test_explain_prints_the_schedule_of_each_endpoint(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump([{"url": "http://h/a", "name": "patient", "attempts": 6}, {"url": "http://h/b", "name": "quick", "attempts": 2}], file)
            file.flush()
            run = Run("deliver", "--explain", "--endpoints", file.name, "http://h/c?token=s3cret", "--attempts", 2)
        self.assertEqual(run.code, 0, run.err)
        headings = [line for line in run.out.splitlines() if line.endswith(":")]
        self.assertEqual(headings, ["http://h/c, quick:", "patient:"])
        self.assertEqual([line.split(" attempts")[0] for line in run.out.splitlines() if " attempts; " in line], ["2", "6"])

    def test_a_key_that_is_stuck_leaves_the_others_their_places(self):
        of_key = [event(i, partitionkey=f"k{i % 20}") for i in range(2000)]
        with Server({'"/test#e0"': [{"do": "hang"}], "*": [OK]}, "--key", "Idempotency-Key", "--keep", "0") as server:
            with Service(server.url(), "--order", "key", "--grace", "100ms", "--attempt-timeout", "10m", "--deadline", "1h") as service:
                service.give(*of_key)
                wait_for(lambda: len(service.results) == 1900)
                self.assertEqual(server.counts()["requests"], 1901, "of its key only the first event was sent")
                service.end(signal.SIGTERM)
        delivered = {r["id"] for r in service.results if r["ok"]}
        self.assertEqual(delivered, {f"e{i}" for i in range(2000) if i % 20 != 0})
        self.assertEqual(len(service.results), 2000)

    def test_a_trace_holds_the_last_eight_attempts_and_counts_the_dropped(self):
        with Server({"*": [BUSY]}) as server:
            run = Run("deliver", server.url(), "--attempts", 12, "--no-wait", "--deadline", "1h", stdin=lines(event(1)))
        self.assertEqual((run.json["attempts"], [t["attempt"] for t in run.json["trace"]], run.json["trace_dropped"]), (12, list(range(5, 13)), 4))

    def test_order_by_key_and_by_endpoint(self):
        with Server({'"/test#e0"': [{"do": "delay", "ms": 100, "then": BUSY}, OK], "*": [OK]}, "--key", "Idempotency-Key") as server:
            run = Run("deliver", server.url(), "--order", "key", "--base", "1ms", stdin=lines(*[event(i, partitionkey="k") for i in range(5)], event(5, partitionkey="o")))
            self.assertEqual(run.code, 0, run.err)
            self.assertEqual([r["id"] for r in run.lines if r["id"] != "e5"], [f"e{i}" for i in range(5)])
            run = Run("deliver", server.url(), "--order", "endpoint", stdin=lines(*[event(i) for i in range(10, 40)]))
        self.assertEqual([r["id"] for r in run.lines], [f"e{i}" for i in range(10, 40)])


class DeadLetters(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.dead = os.path.join(self.folder.name, "dead.jsonl")

    def test_replay_sends_each_once_with_the_same_key_and_body(self):
        given = [event(i) for i in range(20)]
        with Server({f'"/test#e{i}"': [NO] for i in range(0, 20, 2)} | {"*": [OK]}, "--key", "Idempotency-Key") as server:
            first = Run("deliver", server.url("/in"), "--dead-letters", self.dead, "--fsync", stdin=lines(*given))
        self.assertEqual(first.code, 1)
        self.assertEqual({r["id"] for r in first.lines if r.get("dead_letter") == "written"}, {f"e{i}" for i in range(0, 20, 2)})
        with open(self.dead) as file:
            self.assertEqual(len(file.readlines()), 10)
        with Server({"*": [OK]}) as server:
            again = Run("deliver", server.url("/in"), "--input", self.dead, "--replay")
        self.assertEqual(again.code, 0, again.err)
        sent = {r["headers"]["Idempotency-Key"]: r for r in server.final["seen"]}
        self.assertEqual(server.final["requests"], 10)
        self.assertEqual(set(sent), {f'"/test#e{i}"' for i in range(0, 20, 2)})
        for i in range(0, 20, 2):
            self.assertEqual(json.loads(sent[f'"/test#e{i}"']["body"]), given[i])
            self.assertEqual(sent[f'"/test#e{i}"']["headers"]["Content-Type"], "application/cloudevents+json")

    def test_a_replay_keeps_a_generated_key(self):
        with Server({"*": [NO]}) as server:
            Run("deliver", server.url(), "--dead-letters", self.dead, stdin=b'{"hello":1}\n')
        with Server({"*": [OK]}) as later:
            self.assertEqual(Run("deliver", later.url(), "--replay", "--input", self.dead).code, 0)
        (made,) = server.final["seen"]
        (kept,) = later.final["seen"]
        self.assertEqual(made["headers"]["Idempotency-Key"], kept["headers"]["Idempotency-Key"])

    def test_a_broadcast_is_replayed_to_the_endpoints_that_failed(self):
        with Server([NO, OK]) as never, Server({"*": [OK]}) as good:
            urls = [never.url("/a"), good.url("/b")]
            self.assertEqual(Run("deliver", "--to", "all", *urls, "--dead-letters", self.dead, stdin=lines(event(1))).code, 1)
            self.assertEqual(Run("deliver", "--to", "all", *urls, "--replay", "--input", self.dead).code, 0)
            gone = Run("deliver", good.url("/b"), "--replay", "--input", self.dead)
        self.assertEqual((never.final["requests"], good.final["requests"]), (2, 1))
        self.assertEqual(gone.code, 1)
        self.assertIn("line 1: not delivered: no endpoint is called", gone.err)

    def test_a_replay_goes_to_each_named_endpoint_even_if_urls_take_turns(self):
        with Server([NO, OK]) as one, Server([NO, OK]) as two, Server({"*": [OK]}) as good:
            urls = [one.url("/a"), two.url("/b"), good.url("/c")]
            self.assertEqual(Run("deliver", "--to", "all", *urls, "--dead-letters", self.dead, stdin=lines(event(1))).code, 1)
            self.assertEqual(Run("deliver", *urls, "--replay", "--input", self.dead).code, 0)
        self.assertEqual([s.final["requests"] for s in (one, two, good)], [2, 2, 1])

    def test_a_dead_letter_may_be_longer_than_its_event(self):
        with Server([NO, OK]) as server:
            long = {"id": "1", "data": '"' * 400_000}
            self.assertEqual(Run("deliver", server.url(), "--dead-letters", self.dead, stdin=lines(long)).code, 1)
            self.assertGreater(os.path.getsize(self.dead), 1 << 20)
            again = Run("deliver", server.url(), "--replay", "--input", self.dead)
            self.assertEqual(again.code, 0, again.err)
            bound = Run("deliver", server.url(), "--replay", "--max-line", 1000, "--input", self.dead)
        sent = server.final["seen"][1]["body"]  # as much of it as the server remembers
        self.assertTrue(len(sent) > 1000 and json.dumps(long).startswith(sent))
        self.assertIn("line 1: not delivered: oversized: more than 77536 bytes", bound.err)

    def test_a_full_disk_is_reported_counted_and_not_a_success(self):
        with Server({"*": [NO]}) as server:
            with Service(server.url(), "--dead-letters", "/dev/full", "--metrics", 0) as service:
                service.give(*map(event, range(3)))
                wait_for(lambda: len(service.results) == 3)
                numbers = samples(curl(service.ports["metrics"])[2])
                self.assertEqual(service.end(), 1)
        self.assertEqual([r["dead_letter"] for r in service.results], ["lost"] * 3)
        self.assertEqual(numbers['again_sink_dead_letters_total{result="lost"}'], 3)
        self.assertEqual(sum("its dead letter is LOST: /dev/full: No space left on device" in c for c in service.complaints), 3)
        self.assertIn("deliver: 3 dead letters LOST", service.complaints)

    def test_a_file_that_cannot_be_written_is_refused_before_anything_is_sent(self):
        with Server({"*": [OK]}) as server:
            for path, why in ((self.folder.name, "Is a directory"), ("/nowhere/dead.jsonl", "No such file or directory")):
                run = Run("deliver", server.url(), "--dead-letters", path, stdin=lines(event(1)))
                self.assertEqual((run.code, run.out), (2, ""))
                self.assertIn(f"--dead-letters: cannot write {path}: {why}", run.err)
            with open(self.dead, "wb"):
                pass
            run = Run("deliver", server.url(), "--dead-letters", self.dead, "--input", self.dead, "--replay")
            self.assertEqual(run.code, 2)
            self.assertIn("--dead-letters: is the file that is read", run.err)
        self.assertEqual(server.final["requests"], 0)

    def test_damaged_dead_letters_are_named_by_line_and_the_others_sent(self):
        with open(self.dead, "w") as file:
            file.write('{"id":"1","body":"a","headers":[],"only":[]}\n{"half":\n{"id":"2"}\n{"id":"3","body":{"base64":"//4="}}\n'
                       '{"id":"4","body":{"base64":"/"}}\n{"id":"5","body":"x","headers":[["a"]]}\n')
        with Server({"*": [OK]}) as server:
            run = Run("deliver", server.url(), "--replay", "--input", self.dead)
        self.assertEqual(run.code, 1)
        self.assertEqual(sorted(r["id"] for r in run.lines), ["1", "3"])
        self.assertEqual([int(c.split(":")[1].split()[1]) for c in sorted(run.err.splitlines())], [2, 3, 5, 6])


class Signals(unittest.TestCase):
    def test_after_a_signal_every_event_that_was_read_has_a_result_and_each_failure_a_dead_letter(self):
        for what in (signal.SIGINT, signal.SIGTERM):
            with tempfile.TemporaryDirectory() as folder, Server({'"/test#e0"': [{"do": "delay", "ms": 300, "then": OK}], "*": [{"do": "hang"}]}, "--key", "Idempotency-Key") as server:
                dead = os.path.join(folder, "dead.jsonl")
                service = Service(server.url(), "--parallel", 2, "--queue", 3, "--grace", "1s", "--dead-letters", dead)
                service.give(*map(event, range(12)))
                wait_for(lambda: server.counts()["requests"] >= 2)
                start = time.monotonic()
                self.assertEqual(service.end(what), 1)
                self.assertLess(time.monotonic() - start, 15)
                with open(dead) as file:
                    written = [json.loads(line)["id"] for line in file]
            ids = [r["id"] for r in service.results]
            self.assertEqual(len(ids), len(set(ids)))
            self.assertEqual(set(ids), {f"e{i}" for i in range(12)})
            self.assertTrue(next(r for r in service.results if r["id"] == "e0")["ok"], "an attempt that finishes within the grace period is a success")
            self.assertEqual(sorted(written), sorted(r["id"] for r in service.results if not r["ok"]))


    def test_after_a_signal_every_line_has_a_result_or_is_left_in_the_pipe(self):
        with Server({"*": [{"do": "hang"}]}) as server, Pipe() as pipe:
            given = b"".join(b'{"id":"%d"}\n' % i for i in range(3000)) + b'{"id":"half'
            pipe.write(given)
            service = Service(server.url(), "--parallel", 2, "--queue", 3, "--grace", "100ms", stdin=pipe.reader)
            wait_for(lambda: server.counts()["requests"] >= 2)
            self.assertEqual(service.end(signal.SIGTERM), 1)
            left = pipe.rest()
        done = sorted(int(r["id"]) for r in service.results)
        self.assertEqual(done, list(range(len(done))))
        self.assertEqual(b"".join(b'{"id":"%d"}\n' % i for i in done) + left, given, "no line is lost, and none is torn")
        self.assertEqual(service.complaints, [])

    def test_a_signal_within_a_line_lets_it_end_and_leaves_the_next_one(self):
        with Server({"*": [OK]}) as server, Pipe() as pipe:
            service = Service(server.url(), "--grace", "1m", stdin=pipe.reader)
            pipe.write(b'{"id":"to')
            wait_for(lambda: unread(pipe.reader) == 0)
            service.child.send_signal(signal.SIGTERM)
            wait_for(lambda: taken_in(service.child, signal.SIGTERM))
            pipe.write(b'rn"}\n{"id":"next"}\n{"id":"last')
            self.assertEqual(service.end(), 1)
            left = pipe.rest()
        self.assertEqual(([r["id"] for r in service.results], service.complaints, left), (["torn"], [], b'{"id":"next"}\n{"id":"last'))

    def test_a_line_that_does_not_end_within_the_grace_period_is_reported(self):
        with Server({"*": [OK]}) as server, Pipe() as pipe:
            service = Service(server.url(), "--grace", "100ms", stdin=pipe.reader)
            pipe.write(b'{"id":"1"}\n{"id":"half')
            wait_for(lambda: unread(pipe.reader) == 0 and len(service.results) == 1)
            self.assertEqual(service.end(signal.SIGTERM), 1)
        self.assertEqual(service.complaints, ["deliver: line 2: not delivered: cut off: reading ended inside of it"])

    def test_at_most_a_few_megabytes_are_read_ahead(self):
        with Server({"*": [{"do": "hang"}]}) as server:
            service = Service(server.url(), "--parallel", 1, "--queue", 0, "--grace", "100ms")
            given = []

            def feed():
                with contextlib.suppress(OSError):
                    for i in range(60):
                        service.give({"id": str(i), "data": "x" * 1_000_000})
                        given.append(i)

            feeder = threading.Thread(target=feed)
            feeder.start()
            wait_for(lambda: len(given) >= 5 and server.counts()["requests"] >= 1)
            self.assertEqual(service.end(signal.SIGTERM), 1)
            feeder.join()
        self.assertLess(len(service.results), 10)


class Watched(unittest.TestCase):
    def test_metrics_agree_with_results_and_the_server(self):
        script = {f'"/test#e{i}"': [FAULTS[i % 5], OK] for i in range(20)} | {'"/test#e20"': [NO], "*": [OK]}
        with Server(script, "--key", "Idempotency-Key") as server:
            with Service(server.url("/in?token=hidden"), "--metrics", 0, "--base", "1ms", "--attempt-timeout", "5s") as service:
                service.give(*map(event, range(40)))
                wait_for(lambda: len(service.results) == 40)
                status, kind, text = curl(service.ports["metrics"])
                self.assertEqual((status, kind), (200, "text/plain; version=0.0.4; charset=utf-8"))
                numbers = samples(text)
                for path, expected in (("/", 404), ("/metrics/x", 404)):
                    self.assertEqual(curl(service.ports["metrics"].replace("/metrics", path))[0], expected)
                self.assertEqual(curl(service.ports["metrics"], "-X", "POST", "-d", "x")[0], 405)
                self.assertEqual(curl(service.ports["metrics"], "--head")[:2], (200, kind))
                busy = Run("deliver", server.url(), "--metrics", service.ports["metrics"].split(":")[2].split("/")[0])
                self.assertEqual(busy.code, 2)
                self.assertIn("--metrics: cannot listen on 127.0.0.1:", busy.err)
                self.assertEqual(service.end(), 1)
        self.assertEqual(numbers["again_sink_events_accepted_total"], 40)
        self.assertEqual(numbers["again_sink_events_delivered_total"], 39)
        self.assertEqual(numbers['again_sink_events_failed_total{reason="permanent"}'], 1)
        attempts = sum(v for k, v in numbers.items() if k.startswith("again_sink_attempts_total"))
        self.assertEqual(attempts, server.final["requests"])
        self.assertEqual(attempts, sum(r["attempts"] for r in service.results))
        self.assertEqual(sum(v for k, v in numbers.items() if k.startswith("again_sink_retries_total")), 16,
                         "a 2xx that is cut short is a delivery")
        self.assertEqual(numbers["again_sink_events_in_flight"], 0)
        self.assertNotIn("hidden", text)

    def test_export_pages_through_the_last_responses_takes_them_and_refuses_bad_parameters(self):
        with Server({"*": [{"do": "respond", "status": 200, "body": "thanks"}]}) as server:
            with Service(server.url(), "--export", 0, "--export-keep", 25, "--parallel", 1, "--queue", 0) as service:
                at = service.ports["export"]
                self.assertEqual(curl(at)[0], 204)
                service.give(*map(event, range(30)))
                wait_for(lambda: len(service.results) == 30)
                status, kind, body = curl(at + "?type=peek&pageNum=3&pageSize=10")
                page = json.loads(body)
                self.assertEqual((status, kind, page["total"], page["pageNum"], page["pageSize"]), (200, "application/json", 25, 3, 10))
                self.assertEqual([i["id"] for i in page["items"]], [f"e{n}" for n in range(25, 30)], "the oldest five are forgotten")
                self.assertEqual((page["items"][0]["body"], page["items"][0]["status"], page["items"][0]["ok"]), ("thanks", 200, True))
                self.assertEqual(curl(at + "?pageNum=4")[0], 204)
                taken = [i["id"] for how in (["-X", "POST"], ["-X", "DELETE"], ["-d", ""])
                         for i in json.loads(curl(at + "?pageSize=10", *how)[2])["items"]]
                self.assertEqual(taken, [f"e{n}" for n in range(5, 30)])
                self.assertEqual(curl(at + "?type=poll", "-X", "POST")[0], 204)
                for query, said in (("type=steal", "type: neither peek nor poll"), ("pageNum=0", "pageNum: not a whole number of at least 1"),
                                    ("pageNum=x", "pageNum: "), ("pageNum=", "pageNum: "), ("pageSize=", "pageSize: "), ("type=", "type: "), ("type=%70eek%21", "type: "),
                                    ("pageSize=0", "pageSize: "), ("pageSize=1001", "pageSize: not a whole number from 1 to 1000"),
                                    ("pageSize=-1", "pageSize: "), ("pageNum=18446744073709551616", "pageNum: ")):
                    status, _, body = curl(at + "?" + query)
                    self.assertEqual(status, 400, query)
                    self.assertIn(said, json.loads(body)["error"])
                self.assertEqual(curl(at + "?pageNum=18446744073709551615&pageSize=1000")[0], 204)
                self.assertEqual(service.end(), 0)

    def test_only_a_request_that_may_change_something_takes_responses(self):
        with Server({"*": [OK]}) as server, Service(server.url(), "--export", 0) as service:
            at = service.ports["export"]
            service.give(*map(event, range(20)))
            wait_for(lambda: len(service.results) == 20)

            def total():
                return json.loads(curl(at)[2])["total"]

            for how in ([], ["--head"]):
                status, _, _ = curl(at + "?type=poll", *how)
                self.assertEqual((status, total()), (405, 20), how)
            self.assertEqual(curl(at, "--head")[0], 200)
            self.assertEqual((curl(at + "?type=peek", "-X", "POST")[0], total()), (400, 20))
            self.assertEqual((curl(at + "?type=poll&pageSize=5", "-X", "POST")[0], total()), (200, 15))
            self.assertEqual(service.end(), 0)
        with Server({"*": [OK]}) as server, Service(server.url(), "--export", 0, "--export-poll-by-get") as service:
            at = service.ports["export"]
            service.give(*map(event, range(20)))
            wait_for(lambda: len(service.results) == 20)
            self.assertEqual(curl(at + "?type=poll&pageSize=5", "--head")[0], 200)
            self.assertEqual(json.loads(curl(at + "?type=poll&pageSize=5")[2])["total"], 20, "HEAD took nothing")
            self.assertEqual(json.loads(curl(at)[2])["total"], 15)
            self.assertEqual(service.end(), 0)

    def test_another_site_cannot_ask_neither_by_its_host_nor_from_its_page(self):
        with Server({"*": [OK]}) as server, Service(server.url(), "--export", 0, "--metrics", 0, "--allow-host", "status.example") as service:
            service.give(*map(event, range(5)))
            wait_for(lambda: len(service.results) == 5)
            for page in ("export", "metrics"):
                at = service.ports[page]
                host = at.split("/")[2]
                port = host.partition(":")[2]
                for name, status in ((f"evil.example:{port}", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example", 421), ("", 400), ("a b", 400), ("a/b", 400),
                                     ("user@localhost", 400), (f"localhost:{port}", 200), ("LOCALHOST", 200), ("127.0.0.1", 200), (f"[::1]:{port}", 200), ("10.1.2.3", 200),
                                     (socket.gethostname(), 200), ("status.example", 200)):
                    self.assertEqual(curl(at, "-H", f"Host: {name}")[0], status, name)
                for origin, status in (("http://evil.example", 403), ("null", 403), ("http://127.0.0.1", 403), ("http://127.0.0.1:1", 403), ("https://" + host, 403),
                                       (f"http://localhost:{port}", 403), ("http://" + host, 200)):
                    self.assertEqual(curl(at, "-H", f"Origin: {origin}")[0], status, origin)
                for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
                    self.assertEqual(curl(at, "-H", f"Sec-Fetch-Site: {site}")[0], status, site)
            at = service.ports["export"]
            self.assertEqual(curl(at, "-X", "POST", "-H", "Origin: http://evil.example")[0], 403)
            self.assertEqual(json.loads(curl(at)[2])["total"], 5, "and nothing was taken")
            self.assertEqual(service.end(), 0)

    def test_requests_are_read_as_rfc_9112_has_them(self):
        with Server({"*": [OK]}) as server, Service(server.url(), "--metrics", 0) as service:
            where = ("127.0.0.1", int(service.ports["metrics"].split(":")[2].split("/")[0]))

            def asked(text):
                with socket.create_connection(where) as s:
                    s.sendall(text)
                    received = b""
                    while part := s.recv(65536):
                        received += part
                return received

            host = b"Host: localhost\r\n"
            for text, status in (
                    (b"GET /metrics HTTP/1.1\r\n" + host + b"\r\n", 200),
                    (b"\r\n\r\nGET /metrics HTTP/1.1\r\n" + host + b"\r\n", 200),
                    (b"GET /metrics HTTP/1.1\nHost: localhost\n\n", 200),
                    (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
                    (b"GET http://localhost/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200),
                    (b"GET http://evil.example/metrics HTTP/1.1\r\n" + host + b"\r\n", 421),
                    (b"GET http://localhost?x HTTP/1.1\r\n" + host + b"\r\n", 404),
                    (b"GET /metrics?collect[]=x HTTP/1.1\r\n" + host + b"\r\n", 200),
                    (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
                    (b"GET /metrics HTTP/1.1\r\n" + host * 2 + b"\r\n", 400),
                    (b"GET /metrics HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
                    (b"GET /metrics HTTP/1.1\r\n" + host + b" folded: x\r\n\r\n", 400),
                    (b"GET /metrics HTTP/1.1\r\n" + host + b"X: a\rb\r\n\r\n", 400),
                    (b"GET /metrics HTTP/1.1\r\n" + host + b"X: a\0b\r\n\r\n", 400),
                    (b"GET /metrics HTTP/1.1\r\n" + host + b"no colon\r\n\r\n", 400),
                    (b"GET /metrics#x HTTP/1.1\r\n" + host + b"\r\n", 400),
                    (b"GET /met rics HTTP/1.1\r\n" + host + b"\r\n", 400),
                    (b"GET  /metrics HTTP/1.1\r\n" + host + b"\r\n", 400),
                    (b"GET metrics HTTP/1.1\r\n" + host + b"\r\n", 400),
                    (b"GET /metrics\r\n\r\n", 400),
                    (b"G@T /metrics HTTP/1.1\r\n" + host + b"\r\n", 400),
                    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
                    (b"CONNECT localhost:80 HTTP/1.1\r\n" + host + b"\r\n", 400),
                    (b"OPTIONS /metrics HTTP/1.1\r\n" + host + b"\r\n", 405),
                    (b"GET /metrics/ HTTP/1.1\r\n" + host + b"\r\n", 404),
                    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400)):
                received = asked(text)
                self.assertTrue(received.startswith(b"HTTP/1.1 %d " % status), (text, received[:100]))
                self.assertIn(b"\r\nDate: ", received)
            self.assertIn(b"\r\nAllow: GET, HEAD\r\n", asked(b"OPTIONS /metrics HTTP/1.1\r\n" + host + b"\r\n"))
            self.assertEqual(service.end(), 0)

    def test_the_kept_responses_are_bounded_in_bytes(self):
        with Server({"*": [{"do": "respond", "status": 200, "body": "x" * 16384}]}, "--keep", "0") as server:
            with Service(server.url(), "--export", 0, "--export-keep", 100000) as service:
                service.give(*map(event, range(1200)))
                wait_for(lambda: len(service.results) == 1200)
                page = json.loads(curl(service.ports["export"] + "?pageSize=1000", "-X", "POST")[2])
                self.assertLess(page["total"], 1024)
                self.assertGreater(page["total"], 950)
                self.assertEqual(service.end(), 0)

    def test_silent_slow_and_endless_clients_block_neither_other_clients_nor_the_end(self):
        with Server({"*": [OK]}) as server, contextlib.ExitStack() as stack:
            service = stack.enter_context(Service(server.url(), "--metrics", 0, "--export", 0))
            where = ("127.0.0.1", int(service.ports["metrics"].split(":")[2].split("/")[0]))

            def connected():
                return stack.enter_context(socket.create_connection(where))

            over, drips = threading.Event(), [connected() for _ in range(4)]

            def drip():
                while not over.wait(0.1):
                    for s in drips:
                        with contextlib.suppress(OSError):
                            s.send(b"G")

            dripping = threading.Thread(target=drip)
            dripping.start()
            stack.callback(dripping.join), stack.callback(over.set)
            idle = [connected() for _ in range(4)]
            self.assertEqual(curl(service.ports["metrics"])[0], 200)
            long = connected()
            long.sendall(b"GET /metrics?" + b"x" * (1 << 20) + b" HTTP/1.1\r\n\r\n")
            self.assertTrue(long.recv(100).startswith(b"HTTP/1.1 431 "))
            for text, status in ((b"nonsense\r\n\r\n", 400), (b"GET  HTTP/1.1\r\n\r\n", 400), (b"DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 405), (b"GET /metrics HTTP/1.0\n\n", 200)):
                s = connected()
                s.sendall(text)
                self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 %d " % status), text)
            idle += [connected() for _ in range(40)]
            self.assertEqual(curl(service.ports["metrics"])[0], 200, "the oldest have given way")
            drips[:] = [connected() for _ in range(4)]
            self.assertEqual(service.end(signal.SIGTERM), 1)

    def test_an_ipv6_address_stands_in_brackets(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("no IPv6 here")
        with Server({"*": [OK]}) as server, Service(server.url(), "--metrics", "[::1]:0") as service:
            self.assertRegex(service.ports["metrics"], r"^http://\[::1\]:\d+/metrics$")
            self.assertEqual(curl(service.ports["metrics"], "-g")[0], 200)
            self.assertEqual(service.end(), 0)

    def test_log_levels_follow_the_result_and_secrets_are_not_logged(self):
        secret = ["-H", "Authorization: Bearer s3cret", "-H", "Cookie: s3cret"]
        for form in ("logfmt", "json"):
            with Server([BUSY, BUSY, OK, NO]) as server:
                run = Run("deliver", server.url("/in?token=s3cret"), "--log", form, *secret, "--no-wait", "--parallel", 1, "--queue", 0, stdin=lines(event(1), event(2)))
            found = [json.loads(x) if form == "json" else dict(re.findall(r'(\w+)=("[^"]*"|\S+)', x)) for x in run.err.splitlines()]
            self.assertEqual([(x["level"], x["msg"]) for x in found],
                             [("warn", "attempt"), ("warn", "attempt"), ("info", "attempt"), ("info", "delivered"), ("error", "attempt"), ("error", "failed")])
            self.assertNotIn("s3cret", run.err)
            self.assertNotIn("/test#e1", run.err, "the key")
        with Server({"*": [NO]}) as server:
            run = Run("deliver", server.url(), "--log", "json", "--log-level", "error", "--log-keys", stdin=lines(event(1)))
        self.assertEqual([json.loads(x)["msg"] for x in run.err.splitlines()], ["attempt", "failed"])
        self.assertIn("/test#e1", run.err)


class Long(unittest.TestCase):
    """AGAIN_EVENTS=100000 makes it the long test."""

    def test_faults_and_a_restart_leave_one_result_per_event_and_no_leak(self):
        slow = os.environ.get("AGAIN_SANITIZE", "none") != "none"  # then memory and speed are another matter
        n = int(os.environ.get("AGAIN_EVENTS", "2000" if slow else "10000"))
        script = {"*": [OK]} | {f'"/test#e{i}"': [FAULTS[i // 5 % len(FAULTS)], OK] for i in range(0, n, 5)}
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(Server(script, "--key", "Idempotency-Key", "--keep", "0")) for _ in range(3)]
            service = stack.enter_context(Service(*(s.url("/in") for s in servers), "--metrics", 0, "--parallel", 32, "--queue", 64, "--attempts", 20,
                                                  "--attempt-timeout", "10s" if slow else "400ms", "--deadline", "10m", "--base", "5ms", "--cap", "100ms"))
            feeder = threading.Thread(target=lambda: [service.give(*(event(i) for i in range(at, min(at + 500, n)))) for at in range(0, n, 500)])
            feeder.start()

            def used():
                with open(f"/proc/{service.child.pid}/status") as file:
                    rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
                return rss, len(os.listdir(f"/proc/{service.child.pid}/fd"))

            wait_for(lambda: len(service.results) >= n // 5, 600)
            early, before = used()
            servers[1].counts("stop")
            wait_for(lambda: len(service.results) >= n // 5 * 2, 600)
            servers[1].counts("start")
            wait_for(lambda: len(service.results) == n, 1200)
            feeder.join()
            late, after = used()
            numbers = samples(curl(service.ports["metrics"])[2])
            seconds = numbers["again_sink_delivery_duration_seconds_sum"] / n
            self.assertIn(service.end(), (0, 1))
        ids = [r["id"] for r in service.results]
        self.assertEqual((len(ids), len(set(ids))), (n, n))
        delivered = sum(r["ok"] for r in service.results)
        self.assertEqual(numbers["again_sink_events_accepted_total"], n)
        self.assertEqual(numbers["again_sink_events_delivered_total"], delivered)
        failed = {k: v for k, v in numbers.items() if k.startswith("again_sink_events_failed_total") and v}
        self.assertEqual(delivered + sum(failed.values()), n)
        self.assertEqual((numbers["again_sink_events_in_flight"], numbers["again_sink_queue_length"]), (0, 0))
        by = {}
        for k, v in numbers.items():
            found = re.fullmatch(r'again_sink_attempts_total\{endpoint="[^"]*",outcome="(\w+)"\}', k)
            if found:
                by[found[1]] = by.get(found[1], 0) + int(v)
        attempts, seen = sum(by.values()), sum(s.final["requests"] for s in servers)
        self.assertEqual(attempts, sum(r["attempts"] for r in service.results))
        # What never left is no request; of what was on its way when the endpoint was killed (32 at most), it may have seen nothing.
        self.assertLessEqual(seen, attempts - by["not_sent"])
        self.assertLessEqual(attempts - by["not_sent"] - seen, 32)
        self.assertLessEqual(after, before + 8, "descriptors")
        if not slow:
            self.assertLess(late - early, 8 * 1024, "KiB of memory between a fifth and all of the events")
        print(f"\n{n} events: {delivered} delivered, failed {failed}, attempts {attempts} {by}, requests seen {seen}, "
              f"RSS {early} KiB at a fifth and {late} KiB at the end, descriptors {before} and {after}, mean {seconds * 1000:.1f} ms")


main()
