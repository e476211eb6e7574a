#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`deliver --status` over HTTP, and a journal's numbers on /metrics. test_status_page.py looks at the page with a browser.

    test_status.py BIN...
"""
import contextlib
import json
import os
import socket
import sys
import tempfile
import time
import unittest
from urllib.parse import urlsplit

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Run, Server, Service, curl, event, lines, main, samples, wait_for  # noqa: E402

OK = {"do": "respond", "status": 202}
NO = {"do": "respond", "status": 422}
BUSY = {"do": "respond", "status": 503}
TOKEN = "0123456789abcdef0123"


def snapshot(service):
    status, kind, body = curl(service.ports["status"] + "status.json")
    assert (status, kind) == (200, "application/json"), (status, kind)
    return json.loads(body)


def numbers(service):
    return snapshot(service)["numbers"] or {}


class Events:
    """The server-sent events of a page, over a plain socket. `buffer`: bytes that the system may hold for us."""

    def __init__(self, url, buffer=None):
        at = urlsplit(url)
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect((at.hostname, at.port))
        self.socket.settimeout(20)
        self.socket.sendall(f"GET /events HTTP/1.1\r\nHost: {at.netloc}\r\n\r\n".encode())
        self.bytes = b""

    def head(self):
        while b"\r\n\r\n" not in self.bytes:
            self.bytes += self.socket.recv(4096) or self.fail()
        head, _, self.bytes = self.bytes.partition(b"\r\n\r\n")
        return head.decode()

    def next(self):
        """(kind, JSON) of the next event; comments are skipped."""
        while True:
            while b"\n\n" not in self.bytes:
                self.bytes += self.socket.recv(65536) or self.fail()
            part, _, self.bytes = self.bytes.partition(b"\n\n")
            fields = dict(line.split(": ", 1) for line in part.decode().splitlines() if not line.startswith(":"))
            if "data" in fields:
                return fields["event"], json.loads(fields["data"])

    def numbers(self):
        while True:
            kind, shown = self.next()
            if kind == "numbers":
                return shown

    @staticmethod
    def fail():
        raise AssertionError("the stream has ended")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class WithFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def token(self, text=TOKEN + "\n", mode=0o600):
        with open(self.path("token"), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path("token"), mode)
        return self.path("token")


class Snapshot(WithFolder):
    def test_what_is_shown_is_what_was_delivered(self):
        script = {'"/test#e1"': [BUSY, NO], '"/test#e2"': [NO], "*": [OK]}
        with Server(script, "--key", "Idempotency-Key") as server, Service(server.url("/in"), "--status", 0, "--base", "1ms") as service:
            service.give(*map(event, range(10)))
            wait_for(lambda: len(service.results) == 10)
            wait_for(lambda: numbers(service).get("delivered") == 8 and numbers(service)["failed"] == 2)
            shown = snapshot(service)
        n = shown["numbers"]
        self.assertEqual((n["attempts"], n["in_flight"], n["queued"], n["journal"], n["admin"], n["changes_events"]), (11, 0, 0, None, False, False))
        (at,) = n["endpoints"]
        self.assertEqual((at["name"], at["state"], at["attempts"], at["failed"]), (server.url("/in"), "available", 11, 3))
        self.assertIn("422 Unprocessable", at["error"])
        events = {e["id"]: e for e in shown["events"]}
        self.assertEqual(set(events), {"e1", "e2"})
        self.assertEqual({k: events["e1"][k] for k in ("state", "attempts", "reason", "due_ms", "note", "dropped")},
                         {"state": "failed", "attempts": 2, "reason": "permanent", "due_ms": None, "note": None, "dropped": 0})
        self.assertEqual([(a["ok"], a["status"], a["endpoint"]) for a in events["e1"]["trace"]], [(False, 503, server.url("/in")), (False, 422, server.url("/in"))])
        first, second = events["e1"]["trace"]
        self.assertGreaterEqual(second["at_ms"], first["at_ms"])
        self.assertEqual(second["wait_ms"], 0)

    def test_a_client_of_the_events_gets_all_at_once_and_then_what_is_new(self):
        with Server({"*": [OK]}) as server, Service(server.url(), "--status", 0) as service, Events(service.ports["status"]) as stream:
            head = stream.head()
            self.assertTrue(head.startswith("HTTP/1.1 200 "))
            self.assertIn("\r\nContent-Type: text/event-stream\r\n", head)
            self.assertIn("\r\nCache-Control: no-store\r\n", head)
            kinds = [stream.next()[0], stream.next()[0]]
            self.assertEqual(kinds, ["numbers", "events"])
            service.give(event(1))
            wait_for(lambda: stream.numbers()["delivered"] == 1)

    def test_the_hundred_latest_failures_are_kept(self):
        with Server({"*": [NO]}, "--keep", "0") as server, Service(server.url(), "--status", 0) as service:
            service.give(*map(event, range(120)))
            wait_for(lambda: len(service.results) == 120)
            wait_for(lambda: numbers(service).get("failed") == 120)
            wait_for(lambda: len(snapshot(service)["events"]) == 100)
            events = snapshot(service)["events"]
        self.assertEqual({(e["attempts"], len(e["trace"]), e["dropped"]) for e in events}, {(1, 1, 0)})
        self.assertEqual(len({e["ref"] for e in events}), 100)

    def test_text_from_elsewhere_is_harmless_and_bounded(self):
        name = "<img src=x onerror=alert(1)> \u202e\x1b[2J" + "é" * 400
        with Server({"*": [NO]}) as server, open(self.path("at.json"), "w", encoding="utf-8") as file:
            json.dump([{"url": server.url("/in?secret=s3cret"), "name": name, "H": "Authorization: Bearer s3cret"}], file)
            file.flush()
            with Service("--endpoints", file.name, "--status", 0) as service:
                service.give(event(1, id='"><script>\u2067\n' + "x" * 5000))
                wait_for(lambda: len(snapshot(service)["events"]) == 1)
                _, _, raw = curl(service.ports["status"] + "status.json")
        shown = json.loads(raw)
        self.assertNotIn("s3cret", raw)
        self.assertTrue(shown["events"][0]["id"].startswith('"><script>\\u2067\\u000axxx'))
        self.assertTrue(shown["events"][0]["id"].endswith("x…"))
        at = shown["numbers"]["endpoints"][0]["name"]
        self.assertTrue(at.startswith("<img src=x onerror=alert(1)> \\u202e\\u001b[2Jé"), at)
        self.assertLess(len(at), 400)


class Access(WithFolder):
    def control(self, service, *arguments, ref="x-1", do="retry"):
        return curl(service.ports["status"] + f"control?do={do}&ref={ref}", "-X", "POST", *arguments)

    def test_the_page_may_load_nothing_and_run_only_its_own_script(self):
        with Server({"*": [OK]}) as server, Service(server.url(), "--status", 0) as service:
            _, kind, answer = curl(service.ports["status"], "-i")
            head, _, body = answer.replace("\r", "").partition("\n\n")
            self.assertEqual(kind, "text/html; charset=utf-8")
            policy = next(line for line in head.splitlines() if line.startswith("Content-Security-Policy: "))
            self.assertIn("default-src 'none'; script-src 'sha256-", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertIn("require-trusted-types-for 'script'", policy)
            for word in ("unsafe", "http:", "https:", "*"):
                self.assertNotIn(word, policy)
            self.assertEqual(body.count("<script>"), 1)
            self.assertIn("X-Content-Type-Options: nosniff", head)
            self.assertEqual(curl(service.ports["status"] + "favicon.ico")[0], 404)

    def test_only_the_token_changes_something(self):
        with Server({"*": [OK]}) as server:
            with Service(server.url(), "--status", 0) as service:
                self.assertEqual(self.control(service)[0], 403)
                self.assertEqual(self.control(service, "-H", "Authorization: Bearer " + TOKEN)[0], 403)
            with Service(server.url(), "--status", 0, "--status-admin", self.token()) as service:
                _, _, answer = self.control(service, "-i")
                self.assertIn("HTTP/1.1 401 ", answer)
                self.assertIn("WWW-Authenticate: Bearer", answer)
                for wrong in ("Bearer " + TOKEN[:-1], "Bearer " + TOKEN + "0", "Bearer", "Bearer ", "Basic " + TOKEN, TOKEN):
                    self.assertEqual(self.control(service, "-H", "Authorization: " + wrong)[0], 401, wrong)
                bearer = ("-H", "Authorization: Bearer " + TOKEN)
                self.assertEqual(self.control(service, *bearer)[0], 404, "no such event")
                self.assertEqual(self.control(service, *bearer, do="destroy")[0], 400)
                at = numbers(service)["endpoints"][0]["ref"]
                for wrong in (at[:-1] + "0x", at[:-1] + "0", at[:-1] + "2", at[:-1], at.replace("-at", "-"), "", "x"):
                    self.assertEqual(self.control(service, *bearer, do="pause", ref=wrong)[0], 404, wrong)
                self.assertEqual(self.control(service, *bearer, do="retry", ref=at)[0], 404, "an endpoint is no event")
                self.assertEqual(curl(service.ports["status"] + "control?do=retry&ref=x-1", *bearer)[0], 405, "GET changes nothing")
                self.assertEqual(self.control(service, *bearer, "-H", "Origin: http://evil.example")[0], 403)
                self.assertEqual(self.control(service, *bearer, "-H", "Sec-Fetch-Site: cross-site")[0], 403)
                self.assertEqual(self.control(service, *bearer, "-H", "Host: evil.example")[0], 421)
                for path in ("", "events", "status.json"):
                    self.assertEqual(curl(service.ports["status"] + path, "-H", "Host: evil.example")[0], 421)
                for path in ("", "status.json"):
                    self.assertNotIn(TOKEN, curl(service.ports["status"] + path)[2])

    def test_a_token_that_others_may_read_or_that_is_none_is_refused(self):
        def said(*arguments):
            run = Run("deliver", "http://127.0.0.1:9/", *arguments)
            self.assertEqual((run.code, run.out), (2, ""))
            return run.err

        self.assertIn("--status-admin needs --status PORT", said("--status-admin", self.token()))
        self.assertIn("others may read or change it: chmod 600", said("--status", 0, "--status-admin", self.token(mode=0o640)))
        self.assertIn("a token has at least 16 characters", said("--status", 0, "--status-admin", self.token("short\n")))
        self.assertIn("a token is one line of visible ASCII", said("--status", 0, "--status-admin", self.token("two words are no token\n")))
        self.assertIn("a token is one line", said("--status", 0, "--status-admin", self.token("x" * 1100)))
        self.assertIn("No such file or directory", said("--status", 0, "--status-admin", self.path("none")))
        self.assertIn("a token has at least 16 characters", said("--status", 0, "--status-admin", self.folder))
        self.assertIn("would travel unencrypted to 0.0.0.0", said("--status", "0.0.0.0:0", "--status-admin", self.token()))
        self.assertIn("--status: cannot listen on", said("--status", "203.0.113.1:0"))
        self.assertIn("--status: '99999' is not a whole number", said("--status", 99999))
        self.assertIn("--no-wait: the page of --status shows real times", said("--status", 0, "--no-wait"))


    def test_an_endpoint_is_paused_and_resumed_by_hand(self):
        with Server({"*": [OK]}) as server, Service(server.url(), "--status", 0, "--status-admin", self.token()) as service:
            bearer = ("-H", "Authorization: Bearer " + TOKEN)
            wait_for(lambda: numbers(service))
            at = numbers(service)["endpoints"][0]["ref"]
            self.assertEqual(self.control(service, *bearer, do="pause", ref=at)[0], 202)
            wait_for(lambda: [(e["state"], e["reason"]) for e in numbers(service)["endpoints"]] == [("paused", "by_hand")])
            self.assertIsNone(numbers(service)["endpoints"][0]["until_ms"])
            self.assertIsNotNone(numbers(service)["endpoints"][0]["since_ms"])
            service.give(event(1))
            wait_for(lambda: numbers(service)["queued"] == 1)
            self.assertEqual(server.counts()["requests"], 0)
            self.assertEqual(self.control(service, *bearer, do="resume", ref=at)[0], 202)
            wait_for(lambda: len(service.results) == 1)
            wait_for(lambda: numbers(service)["endpoints"][0]["state"] == "available")
            self.assertTrue(service.results[0]["ok"])


class Streams(WithFolder):
    def test_clients_are_bounded_and_one_more_is_told_to_come_later(self):
        with Server({"*": [OK]}) as server, Service(server.url(), "--status", 0) as service, contextlib.ExitStack() as all_of_them:
            streams = [all_of_them.enter_context(Events(service.ports["status"])) for _ in range(8)]
            for stream in streams:
                self.assertIn("200 OK", stream.head())
            with Events(service.ports["status"]) as more:
                self.assertIn("503 Service Unavailable", more.head())
            pages = [all_of_them.enter_context(socket.create_connection((urlsplit(service.ports["status"]).hostname, urlsplit(service.ports["status"]).port))) for _ in range(30)]
            self.assertEqual(len(pages), 30)  # they say nothing, and take no place of a stream
            service.give(event(1))
            for stream in streams:
                wait_for(lambda: stream.numbers()["delivered"] == 1)
            streams[0].socket.close()
            with contextlib.ExitStack() as later:
                wait_for(lambda: "200 OK" in later.enter_context(Events(service.ports["status"])).head())

    def test_a_client_that_does_not_read_is_let_go_and_costs_the_others_nothing(self):
        with Server({"*": [NO]}, "--keep", "0") as server, Service(server.url(), "--status", 0) as service:
            service.give(*(event(i, id=f"{i}-" + "x" * 290) for i in range(100)))
            wait_for(lambda: len(snapshot(service)["events"]) == 100)
            with Events(service.ports["status"], buffer=4096) as slow, Events(service.ports["status"]) as good:
                self.assertIn("200 OK", good.head())
                end = time.monotonic() + 40
                while True:  # the server lets go of the slow one after ten seconds
                    self.assertEqual(good.numbers()["failed"], 100)
                    self.assertLess(time.monotonic(), end)
                    with open(f"/proc/{service.child.pid}/net/tcp", encoding="ascii") as file:
                        state = next((line.split()[3] for line in file if line.split()[2].endswith(":%04X" % slow.socket.getsockname()[1])), None)
                    if state != "01":  # ESTABLISHED
                        break


class Journal(WithFolder):
    def setUp(self):
        super().setUp()
        if "without SQLite" in Run("deliver", "--journal", self.path("none.db"), "http://127.0.0.1:9/", "--status-admin", "x").err:
            self.skipTest("deliver was built without SQLite")

    def test_metrics_have_the_numbers_of_the_journal(self):
        with Server({'"/test#e1"': [NO], '"/test#e2"': [BUSY], "*": [OK]}, "--key", "Idempotency-Key") as server, \
                Service("--journal", self.path("events.db"), server.url(), "--metrics", 0, "--attempts", 1, "--short-wait", 0, "--redeliver-base", "1h",
                        "--redeliver-cap", "1h") as service:
            service.give(*map(event, range(5)))
            wait_for(lambda: samples(curl(service.ports["metrics"])[2]).get('again_journal_events{state="waiting"}') == 1)
            wait_for(lambda: samples(curl(service.ports["metrics"])[2]).get('again_journal_events{state="done"}') == 3)
            found = samples(curl(service.ports["metrics"])[2])
        self.assertEqual({k: v for k, v in found.items() if k.startswith("again_journal_events{")},
                         {'again_journal_events{state="waiting"}': 1, 'again_journal_events{state="leased"}': 0, 'again_journal_events{state="done"}': 3,
                          'again_journal_events{state="dead"}': 1})
        self.assertEqual(found["again_journal_appended_total"], 5)
        self.assertEqual(found["again_journal_store_errors_total"], 0)
        self.assertEqual(found['again_journal_events_total{end="put_off"}'], 1)
        self.assertEqual(found["again_journal_oldest_due_age_seconds"], 0)

    def test_an_event_that_nobody_takes_grows_old_on_the_metrics(self):
        options = ("--journal", self.path("events.db"), "--attempt-timeout", "10m", "--deadline", "1h", "--grace", "10ms")
        with Server({"*": [{"do": "hang"}]}) as server, Service(*options, server.url(), "--metrics", 0, "--parallel", 1, "--queue", 0) as service:
            service.give(*map(event, range(3)))
            wait_for(lambda: samples(curl(service.ports["metrics"])[2]).get("again_journal_oldest_due_age_seconds", 0) >= 1)
            found = samples(curl(service.ports["metrics"])[2])
            self.assertEqual((found['again_journal_events{state="leased"}'], found['again_journal_events{state="waiting"}']), (1, 2))
            service.child.terminate()
            service.end()

    def test_a_dead_event_is_sent_again_or_discarded_on_request(self):
        journal = self.path("events.db")
        with Server({'"/test#e1"': [NO, OK], '"/test#e2"': [NO], "*": [OK]}, "--key", "Idempotency-Key") as server, \
                Service("--journal", journal, server.url(), "--status", 0, "--status-admin", self.token()) as service:
            def ask(do, ref):
                return curl(service.ports["status"] + f"control?do={do}&ref={ref}", "-X", "POST", "-H", "Authorization: Bearer " + TOKEN)

            def shown():
                return {e["id"]: e for e in snapshot(service)["events"]}

            service.give(*map(event, range(4)))
            wait_for(lambda: {i: e["state"] for i, e in shown().items()} == {"e1": "dead", "e2": "dead"})
            before = shown()
            wait_for(lambda: numbers(service)["journal"]["dead"] == 2)
            self.assertEqual(ask("retry", before["e1"]["ref"]), (202, "application/json", "{}\n"))
            wait_for(lambda: shown()["e1"]["state"] == "done")
            self.assertEqual([(a["ok"], a["status"]) for a in shown()["e1"]["trace"]], [(False, 422), (True, 202)])
            self.assertEqual(ask("discard", before["e2"]["ref"])[0], 202)
            wait_for(lambda: shown()["e2"]["state"] == "discarded")
            ask("retry", before["e2"]["ref"])
            wait_for(lambda: "there is no event" in (shown()["e2"]["note"] or ""))
            wait_for(lambda: (numbers(service)["journal"]["done"], numbers(service)["journal"]["dead"]) == (3, 0))
            self.assertEqual(service.end(), 1, "two events have died in this run")
        self.assertEqual(sorted(r["id"] for r in service.results), ["e0", "e1", "e1", "e2", "e3"])
        listed = Run("deliver", "journal", "list", journal).out.split()
        self.assertEqual((listed.count("done"), listed.count("dead")), (3, 0))
        self.assertNotIn("e2", listed)

    def test_events_that_died_in_an_earlier_run_are_shown_and_sent_again(self):
        journal = self.path("events.db")
        with Server({"*": [NO, OK]}) as server:
            self.assertEqual(Run("deliver", "--journal", journal, server.url(), stdin=lines(event(1))).code, 1)
            with Service("--journal", journal, server.url(), "--status", 0, "--status-admin", self.token()) as service:
                wait_for(lambda: [(e["id"], e["state"], e["attempts"]) for e in snapshot(service)["events"]] == [("e1", "dead", 1)])
                (dead,) = snapshot(service)["events"]
                self.assertEqual((dead["reason"], dead["trace"]), ("permanent", []))
                curl(service.ports["status"] + f"control?do=retry&ref={dead['ref']}", "-X", "POST", "-H", "Authorization: Bearer " + TOKEN)
                wait_for(lambda: [(e["state"], e["attempts"], len(e["trace"])) for e in snapshot(service)["events"]] == [("done", 2, 1)])

    def test_an_event_that_waits_is_due_at_once_and_one_under_way_is_left_alone(self):
        with Server({"*": [BUSY, OK]}) as server, \
                Service("--journal", self.path("events.db"), server.url(), "--status", 0, "--status-admin", self.token(), "--attempts", 1, "--short-wait", 0,
                        "--redeliver-base", "1h", "--redeliver-cap", "1h") as service:
            service.give(event(1))
            wait_for(lambda: [e["state"] for e in snapshot(service)["events"]] == ["waiting"])
            (waiting,) = snapshot(service)["events"]
            self.assertGreater(waiting["due_ms"], waiting["changed_ms"] + 1_000_000)
            curl(service.ports["status"] + f"control?do=retry&ref={waiting['ref']}", "-X", "POST", "-H", "Authorization: Bearer " + TOKEN)
            wait_for(lambda: [e["state"] for e in snapshot(service)["events"]] == ["done"])


main()
