#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`deliver --journal`: what was acknowledged is delivered, whatever ends the program, and `deliver journal` shows and changes what is kept."""
import collections
import concurrent.futures
import contextlib
import http.server
import json
import os
import re
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Pipe, Run, Service, event, lines, main, program, unread, wait_for  # noqa: E402


class Receiver:
    """An endpoint that counts what it is sent, by Idempotency-Key. `respond(key, n)`: the status of the nth request with this key."""

    def __init__(self, respond=lambda key, n: 200):
        self.respond, self.sent, self.lock = respond, collections.defaultdict(list), threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                self.close_connection = self.server.of.take(self)

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads, of, request_queue_size = True, self, 128

            def handle_error(self, *_):  # a client that was killed
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def take(self, handler):
        length = int(handler.headers["Content-Length"])
        body = handler.rfile.read(length)
        if len(body) < length:  # the client was killed while it wrote
            return True
        key = handler.headers["Idempotency-Key"].strip('"')
        with self.lock:
            self.sent[key].append(body)
            n = len(self.sent[key])
        status = self.respond(key, n)
        with contextlib.suppress(OSError):
            handler.send_response(status)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return False
        return True

    @property
    def requests(self):
        with self.lock:
            return sum(map(len, self.sent.values()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.journal = self.path("events.db")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def states(self):
        """How many events the journal has by state: a look at the file with SQLite itself."""
        with contextlib.closing(sqlite3.connect(self.journal)) as db:
            return {("waiting", "leased", "done", "dead")[state]: n for state, n in db.execute("SELECT state, count(*) FROM events GROUP BY state")}


ONE_SEND = ("--attempts", 1)
PUT_OFF = (*ONE_SEND, "--short-wait", 0, "--redeliver-base", "1h")  # after one failed attempt
AT_ONCE = (*ONE_SEND, "--redeliver-base", "1ms", "--redeliver-cap", "1ms")


class Delivering(InFolder):
    def test_events_are_acknowledged_and_delivered_and_known_to_the_next_run(self):
        with Receiver() as receiver:
            file = self.write("in.jsonl", lines(*(event(i) for i in range(600))))
            run = Run("deliver", "--journal", self.journal, "--acknowledge", "--input", file, receiver.url)
            self.assertEqual((run.code, run.err), (0, ""))
            acknowledged = [line["acknowledged"] for line in run.lines if "acknowledged" in line]
            self.assertEqual((acknowledged[-1], acknowledged), (600, sorted(acknowledged)))
            results = [line for line in run.lines if "id" in line]
            self.assertEqual({(r["id"], r["line"], r["ok"], r["deliveries"]) for r in results},
                             {(f"e{i}", i + 1, True, 1) for i in range(600)})
            self.assertEqual(len(results), 600)
            for name in ("events.db", "events.db.lock"):
                self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o600)
            again = Run("deliver", "--journal", self.journal, "--input", file, receiver.url)
            self.assertEqual((again.code, again.out), (0, ""))
            self.assertEqual(again.err, "deliver: 600 of the lines were in the journal already\n")
            self.assertEqual(receiver.requests, 600)
            self.assertEqual(self.states(), {"done": 600})

    def test_lines_that_are_no_events_are_refused_and_do_not_hold_up_the_others(self):
        with Receiver() as receiver:
            run = Run("deliver", "--journal", self.journal, "--acknowledge", receiver.url, stdin=b"{\n\n" + lines(event(1)) + b"[]\n")
            self.assertEqual(run.code, 1)
            self.assertEqual([line.split(":")[1] for line in run.err.splitlines()], [" line 1", " line 4"])
            self.assertEqual([line["line"] for line in run.lines if "id" in line], [3])
            self.assertEqual(max(line.get("acknowledged", 0) for line in run.lines), 4)

    def test_equal_lines_without_an_id_are_two_events(self):
        with Receiver() as receiver:
            for _ in range(2):
                run = Run("deliver", "--journal", self.journal, receiver.url, stdin=b'{"a":1}\n{"a":1}\n')
                self.assertEqual((run.code, len(run.lines)), (0, 2))
            self.assertEqual((receiver.requests, len(receiver.sent)), (4, 4))

    def test_what_is_put_off_stays_and_a_later_run_delivers_it_with_the_same_key(self):
        with Receiver(lambda key, n: 503 if n == 1 else 200) as receiver:
            run = Run("deliver", "--journal", self.journal, *PUT_OFF, receiver.url, stdin=lines(event(1)))
            self.assertEqual((run.code, run.out), (0, ""))
            self.assertRegex(run.err, r"^deliver: 1 event stays in the journal: the next one is due in \d+ s\n$")
            idle = Run("deliver", "--journal", self.journal, *PUT_OFF, receiver.url)
            self.assertEqual((idle.code, idle.out, receiver.requests), (0, "", 1))
            self.assertEqual(Run("deliver", "journal", "retry", self.journal, "e1").code, 0)
            later = Run("deliver", "--journal", self.journal, *PUT_OFF, receiver.url)
            self.assertEqual((later.code, later.err), (0, ""))
            self.assertEqual({k: later.json.get(k) for k in ("id", "ok", "attempts", "deliveries", "line")},
                             {"id": "e1", "ok": True, "attempts": 2, "deliveries": 2, "line": None})
            self.assertEqual([len(bodies) for bodies in receiver.sent.values()], [2])

    def test_short_waits_are_waited_for_at_the_end_of_the_input(self):
        with Receiver(lambda key, n: 503 if n < 4 else 200) as receiver:
            run = Run("deliver", "--journal", self.journal, *AT_ONCE, receiver.url, stdin=lines(event(1), event(2)))
            self.assertEqual((run.code, run.err), (0, ""))
            self.assertEqual([(r["attempts"], r["deliveries"]) for r in run.lines], [(4, 4)] * 2)

    def test_a_dead_event_has_a_result_and_one_dead_letter_and_is_sent_again_by_replay(self):
        with Receiver(lambda key, n: 503 if n < 3 else 422 if n == 3 else 200) as receiver:
            letters = self.path("dead.jsonl")
            run = Run("deliver", "--journal", self.journal, *AT_ONCE, "--dead-letters", letters, receiver.url, stdin=lines(event(1), event(2)))
            self.assertEqual((run.code, run.err), (1, ""))
            self.assertEqual([(r["ok"], r["status"], r["reason"], r["attempts"], r["dead_letter"]) for r in run.lines],
                             [(False, 422, "permanent", 3, "written")] * 2)
            with open(letters, encoding="utf-8") as file:
                self.assertEqual(sorted(json.loads(line)["id"] for line in file), ["e1", "e2"])
            self.assertEqual(stat.S_IMODE(os.stat(letters).st_mode), 0o600)
            self.assertEqual(self.states(), {"dead": 2})
            replay = ("deliver", "--journal", self.journal, "--replay", "--input", letters, receiver.url)
            self.assertEqual([(r["id"], r["ok"]) for r in sorted(Run(*replay).lines, key=lambda r: r["id"])], [("e1", True), ("e2", True)])
            self.assertEqual(Run(*replay).err, "deliver: 2 of the lines were in the journal already\n")
            self.assertEqual([len(bodies) for bodies in receiver.sent.values()], [4, 4])
            self.assertEqual(self.states(), {"dead": 2, "done": 2})

    def test_where_one_of_several_endpoints_refuses_the_letter_names_it_alone(self):
        with Receiver(lambda key, n: 422) as strict, Receiver(lambda key, n: 503 if n == 1 else 200) as busy:
            letters = self.path("dead.jsonl")
            run = Run("deliver", "--journal", self.journal, *AT_ONCE, "--to", "all", "--dead-letters", letters, strict.url, busy.url, stdin=lines(event(1)))
            self.assertEqual((run.code, run.json["ok"], run.json["reason"], run.json["attempts"]), (1, False, "permanent", 3))
            with open(letters, encoding="utf-8") as file:
                self.assertEqual(json.loads(file.read())["only"], [strict.url])
            self.assertEqual((strict.requests, busy.requests), (1, 2))

    def test_the_order_of_a_key_is_kept_over_restarts(self):
        open_now = threading.Event()
        with Receiver(lambda key, n: 200 if open_now.is_set() else 503) as receiver:
            given = lines(*(event(i, partitionkey="k") for i in range(5)), event(9, partitionkey="other"))
            options = ("--journal", self.journal, "--order", "key", *PUT_OFF)
            Run("deliver", *options, receiver.url, stdin=given)
            self.assertEqual(sorted(receiver.sent), ["/test#e0", "/test#e9"])
            open_now.set()
            Run("deliver", "journal", "retry", self.journal, "e0", "e9")
            run = Run("deliver", *options, receiver.url)
            self.assertEqual([r["id"] for r in run.lines if r["id"] != "e9"], [f"e{i}" for i in range(5)])


class Ending(InFolder):
    def test_a_signal_stops_the_reading_and_the_rest_is_given_back(self):
        done = threading.Event()
        self.addCleanup(done.set)
        with Receiver(lambda key, n: 200 if key.endswith("e0") or n > 1 or done.wait(60) else 200) as receiver:
            with Pipe() as pipe, Service("--journal", self.journal, "--parallel", 4, "--grace", "100ms", receiver.url, stdin=pipe.reader) as service:
                pipe.write(lines(*(event(i) for i in range(9))))
                wait_for(lambda: len(service.results) == 1 and receiver.requests == 5)
                self.assertEqual(service.end(signal.SIGTERM), 1)
                self.assertEqual(service.complaints, ["deliver: 8 events stay in the journal: the next one is due now"])
                self.assertEqual([r["id"] for r in service.results], ["e0"])
                pipe.write(lines(event(10)))
                self.assertEqual(pipe.rest(), lines(event(10)))
            done.set()
            rest = Run("deliver", "--journal", self.journal, receiver.url)
            self.assertEqual((rest.code, {r["id"] for r in rest.lines}), (0, {f"e{i}" for i in range(1, 9)}))
            self.assertEqual(sorted(map(len, receiver.sent.values())), [1] * 5 + [2] * 4)

    def test_a_process_that_is_killed_has_its_events_sent_by_the_next_one(self):
        done = threading.Event()
        self.addCleanup(done.set)
        with Receiver(lambda key, n: 200 if n > 1 or done.wait(60) else 200) as receiver:
            with Service("--journal", self.journal, "--acknowledge", "--parallel", 4, "--queue", 2, receiver.url) as service:
                service.give(*(event(i) for i in range(50)))
                wait_for(lambda: {"acknowledged": 50} in service.results and receiver.requests == 4)
                service.end(signal.SIGKILL)
            done.set()
            rest = Run("deliver", "--journal", self.journal, receiver.url)
            self.assertEqual((rest.code, len(rest.lines)), (0, 50))
            self.assertEqual(sorted(map(len, receiver.sent.values())), [1] * 46 + [2] * 4)


class Refused(InFolder):
    def refused(self, journal, sentence, *options):
        with Pipe() as pipe:
            pipe.write(lines(event(1)))
            done = subprocess.run([program("deliver"), "--journal", journal, *options, "http://127.0.0.1:9/"], stdin=pipe.reader, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=60)
            self.assertEqual((done.returncode, done.stdout, unread(pipe.reader)), (2, b"", len(lines(event(1)))))
        self.assertRegex(done.stderr.decode(), sentence)
        self.assertEqual(done.stderr.count(b"\n"), 1)

    def test_a_journal_that_cannot_be_had_is_one_sentence_before_anything_is_read(self):
        with Receiver() as receiver, Service("--journal", self.journal, receiver.url) as service:
            wait_for(lambda: os.path.exists(self.journal + "-wal"))
            self.refused(self.journal, rf"^deliver: --journal: .*events\.db: is open in another process \(pid {service.child.pid}\); end that one, or name another file\n$")
        self.refused(self.path("no/such"), "No such file or directory; make the folder .*/no/ first")
        self.refused(self.folder.name, "deliver: --journal: ")
        self.refused(self.write("text", b"x" * 8192), "restore it: sqlite3 FILE .recover")
        with contextlib.closing(sqlite3.connect(self.journal)) as db:
            db.execute("PRAGMA user_version = 99")
        self.refused(self.journal, r"was written by a newer version of this program \(its format is 99")
        with contextlib.closing(sqlite3.connect(self.path("other"))) as db:
            db.execute("CREATE TABLE t(x)")
        self.refused(self.path("other"), "is a database of another program; name another file")
        if os.geteuid() != 0:  # root may read everything
            os.chmod(self.journal, 0)
            self.refused(self.journal, "make the file and its folder writable for this user|check its folder and its permissions")

    def test_options_that_contradict_each_other_are_refused(self):
        url = "http://127.0.0.1:9/"
        for options, sentence in ((("--journal", self.journal, "--no-wait"), "--no-wait: a journal keeps real times; leave one of the two out"),
                                  (("--acknowledge",), "--acknowledge, --redeliver-... and --short-wait need --journal FILE"),
                                  (("--short-wait", "1s"), "--acknowledge, --redeliver-... and --short-wait need --journal FILE"),
                                  (("--journal", self.journal, "--order", "endpoint"),
                                   "--order endpoint: a journal keeps the order of each key: use --order key"),
                                  (("--journal", self.journal, "--redeliver-base", "2h"), "--redeliver-base must not exceed --redeliver-cap (1h unless given)")):
            run = Run("deliver", *options, url)
            self.assertEqual((run.code, run.err), (2, f"deliver: {sentence}\n"))
        self.assertFalse(os.path.exists(self.journal))


class FailingStore(InFolder):
    def test_a_journal_that_cannot_be_written_takes_nothing_in_is_loud_and_goes_on_when_there_is_room(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        with Receiver(lambda key, n: 200 if go_on.wait(60) else 500) as receiver:
            with Service("--journal", self.journal, "--acknowledge", receiver.url) as service, contextlib.ExitStack() as stack:
                service.give(event(1))
                wait_for(lambda: receiver.requests == 1)
                pid, limit = service.child.pid, resource.RLIMIT_FSIZE
                before = resource.prlimit(pid, limit)
                stack.callback(resource.prlimit, pid, limit, before)
                resource.prlimit(pid, limit, (1, before[1]))
                service.give(*(event(i) for i in range(2, 1000)))
                go_on.set()  # the event that was taken is delivered, and its result waits for the journal
                wait_for(lambda: service.complaints)
                self.assertRegex(service.complaints[0], r"^deliver: journal: .*events\.db: .*\(tried again; what was taken goes on\)$")
                self.assertEqual(service.results, [{"acknowledged": 1}])
                self.assertEqual(receiver.requests, 1)
                stack.close()
                wait_for(lambda: sum("id" in r for r in service.results) == 999)
                self.assertEqual(service.end(), 0)
                self.assertIn("deliver: journal: it works again", service.complaints)
            self.assertEqual(set(map(len, receiver.sent.values())), {1})
            self.assertEqual(self.states(), {"done": 999})

    def test_a_journal_that_is_removed_or_cannot_be_written_at_a_signal_ends_in_time_and_names_the_lines(self):
        with Receiver() as receiver:
            with Service("--journal", self.journal, "--grace", "100ms", receiver.url) as service:
                service.give(event(1))
                wait_for(lambda: len(service.results) == 1)
                os.remove(self.journal)
                service.give(event(2))
                wait_for(lambda: service.complaints)
                self.assertEqual(service.end(signal.SIGTERM), 1)
                self.assertIn("was removed or replaced while it was open", service.complaints[0])
                self.assertTrue([c for c in service.complaints if c.startswith("deliver: line 2: not delivered: not stored: ")], service.complaints)
            self.assertEqual(receiver.requests, 1)


class Command(InFolder):
    """`deliver journal`."""

    def journal_of_all_states(self):
        """e0 waits for an hour, e1 is done, e2 is dead."""
        with Receiver(lambda key, n: {"/test#e0": 503, "/test#e1": 200, "/test#e2": 422}[key]) as receiver:
            Run("deliver", "--journal", self.journal, *PUT_OFF, receiver.url, stdin=lines(*(event(i) for i in range(3))))

    def command(self, name, *ids):
        run = Run("deliver", "journal", name, self.journal, *ids)
        return run

    def test_list_has_a_line_for_each_event(self):
        self.journal_of_all_states()
        run = self.command("list")
        self.assertEqual((run.code, run.err), (0, ""))
        time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
        for line, pattern in zip(run.out.splitlines(), (rf"waiting  {time}    1  e0  503 Service Unavailable.*", rf"done     {time}    1  e1  -",
                                                        rf"dead     {time}    1  e2  permanent: 422 .*"), strict=True):
            self.assertRegex(line, f"^{pattern}$")

    def test_what_is_shown_on_a_terminal_is_escaped(self):
        wild = b'{"id":"\\u001b[31m\\u202e","x":"\\u001b"}\n'
        with Receiver(lambda key, n: 422) as receiver:
            Run("deliver", "--journal", self.journal, receiver.url, stdin=wild)
        for run in (self.command("list"), self.command("show", "\x1b[31m\u202e"), self.command("export"), self.command("discard", "\x1b[31m\u202e")):
            self.assertEqual(run.code, 0, run.err)
            self.assertTrue(run.out)
            self.assertFalse({"\x1b", "\u202e"} & set(run.out))

    def test_show_has_all_that_is_known_of_an_event(self):
        self.journal_of_all_states()
        shown = self.command("show", "e2").json
        self.assertEqual({k: shown[k] for k in ("state", "id", "key", "attempts", "deliveries", "status", "reason", "only")},
                         {"state": "dead", "id": "e2", "key": "/test#e2", "attempts": 1, "deliveries": 1, "status": 422, "reason": "permanent", "only": []})
        self.assertEqual(json.loads(shown["body"]), event(2))
        self.assertEqual(shown["headers"], [["Content-Type", "application/cloudevents+json"]])
        self.assertTrue(shown["finished"] and shown["first_attempt"])
        self.assertEqual(self.command("show", "/test#e2").json, shown)
        self.assertEqual(self.command("show", shown["stored_as"]).json, shown)
        self.assertEqual([e["id"] for e in self.command("show", "e1", "e0").lines], ["e1", "e0"])

    def test_stats_count_the_events_and_measure_the_file(self):
        self.journal_of_all_states()
        stats = self.command("stats").json
        self.assertEqual([stats[k] for k in ("waiting", "done", "dead")], [1, 1, 1])
        self.assertEqual((stats["file_bytes"], stats["log_bytes"]), (os.path.getsize(self.journal), 0))
        self.assertTrue(stats["oldest_unfinished"] and stats["next_due"])

    def test_what_is_exported_can_be_replayed(self):
        self.journal_of_all_states()
        exported = self.command("export")
        self.assertEqual([e["state"] for e in exported.lines], ["waiting", "done", "dead"])
        with Receiver() as receiver:
            run = Run("deliver", "--replay", receiver.url, stdin=exported.raw)
            self.assertEqual((run.code, sorted(r["id"] for r in run.lines)), (0, ["e0", "e1", "e2"]))
            self.assertEqual({key: json.loads(bodies[0]) for key, bodies in receiver.sent.items()}, {f"/test#e{i}": event(i) for i in range(3)})

    def test_retry_makes_events_due_and_the_dead_wait_again_with_their_attempts(self):
        self.journal_of_all_states()
        run = self.command("retry", "e0", "e2")
        self.assertEqual((run.code, run.out), (0, "e0: is due now\ne2: is due now\n"))
        self.assertEqual(self.states(), {"waiting": 2, "done": 1})
        with Receiver() as receiver:
            run = Run("deliver", "--journal", self.journal, receiver.url)
            self.assertEqual((run.code, sorted((r["id"], r["attempts"]) for r in run.lines)), (0, [("e0", 2), ("e2", 2)]))
        done = self.command("retry", "e1")
        self.assertEqual(done.code, 1)
        self.assertRegex(done.err, r"^deliver: journal: event e1:\w+ is done: every endpoint has taken it\n$")

    def test_discard_forgets_events(self):
        self.journal_of_all_states()
        run = self.command("discard", "e0", "e1")
        self.assertEqual((run.code, run.out), (0, "e0: discarded\ne1: discarded\n"))
        self.assertEqual(self.states(), {"dead": 1})

    def test_an_id_of_several_events_changes_none_of_them(self):
        with Receiver(lambda key, n: 422) as receiver:
            Run("deliver", "--journal", self.journal, receiver.url, stdin=lines(event(1), event(1, source="/other")))
        run = self.command("discard", "e1")
        self.assertEqual(run.code, 2)
        names = re.fullmatch(r"deliver: journal: 2 events are called e1: name one of (e1:\w+), (e1:\w+)\n", run.err).groups()
        self.assertEqual(len(self.command("show", "e1").lines), 2)
        self.assertEqual(self.command("discard", names[1]).code, 0)
        self.assertEqual(self.command("discard", "/test#e1").code, 0)
        self.assertEqual(self.states(), {})

    def test_a_running_journal_is_read_and_not_changed(self):
        done = threading.Event()
        self.addCleanup(done.set)
        with Receiver(lambda key, n: 200 if done.wait(60) else 200) as receiver, Service("--journal", self.journal, receiver.url) as service:
            service.give(event(1))
            wait_for(lambda: receiver.requests == 1)
            self.assertRegex(self.command("list").out, r"^waiting .* e1  -\n$")
            self.assertEqual(self.command("show", "e1").json["state"], "waiting")
            self.assertEqual(self.command("stats").json["waiting"], 1)
            for name in ("retry", "discard"):
                run = self.command(name, "e1")
                self.assertEqual((run.code, run.out), (2, ""))
                self.assertRegex(run.err, rf"^deliver: journal: .* is open in another process \(pid {service.child.pid}\); end that one, or name another file\n$")
            done.set()
            self.assertEqual(service.end(), 0)
        self.assertEqual(self.states(), {"done": 1})

    def test_a_wrong_command_line_is_one_sentence(self):
        for words, sentence in (((), "needs a command"), (("look", "f"), "no command is called 'look'"), (("list",), "list needs a FILE"),
                                (("show", "f"), "show needs the ID of an event after the FILE"), (("stats", "f", "g"), "stats takes a FILE and nothing else")):
            run = Run("deliver", "journal", *words)
            self.assertEqual((run.code, run.err), (2, f"deliver: journal: {sentence}; deliver journal --help lists the commands\n"))
        self.assertIn("export FILE", Run("deliver", "journal", "--help").out)
        missing = self.command("list")
        self.assertEqual((missing.code, missing.err), (2, f"deliver: journal: {self.journal}: there is no journal; name a file that exists\n"))
        self.assertFalse(os.path.exists(self.journal))
        self.journal_of_all_states()
        self.assertEqual(self.command("retry", "e7").err, "deliver: journal: there is no event e7; deliver journal list FILE shows them\n")


CALLS = ("write", "writev", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "unlink", "sendto", "sendmsg")
EVERY = int(os.environ.get("AGAIN_KILL_EVERY", "0"))  # 1: at each call; 0: at some sixty of them
TRACED = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # a sanitizer cannot look for leaks in a process that is traced
STRACE = ("strace", "-f", "-qq")  # not --seccomp-bpf: with it strace 6.1 does not send the signal


def can_trace():
    try:
        return subprocess.run([*STRACE, "-o", os.devnull, "-e", "trace=none", "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30).returncode == 0
    except FileNotFoundError:
        return False


class Killed(InFolder):
    """A run of 200 events is killed, and a second one finishes. What has to hold afterwards, whenever that was."""

    EVENTS, HELD = 200, 32
    OPTIONS = ("--acknowledge", "--parallel", HELD // 2, "--queue", HELD // 2)

    def first_run(self, journal, url, through=()):
        return [*map(str, through), program("deliver"), "--journal", journal, *map(str, self.OPTIONS), url]

    def given(self):
        return lines(*(event(i) for i in range(self.EVENTS)))

    def finish_and_check(self, journal, receiver, printed):
        whole = printed[:printed.rfind(b"\n") + 1].decode().splitlines()
        results = [json.loads(line) for line in whole]
        acknowledged = max([r["acknowledged"] for r in results if "acknowledged" in r], default=0)
        finished = {"/test#" + r["id"] for r in results if "id" in r}
        before = receiver.requests
        rest = subprocess.run([program("deliver"), "--journal", journal, receiver.url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual((rest.returncode, rest.stderr), (0, b""))
        with contextlib.closing(sqlite3.connect(journal)) as db:
            rows = db.execute("SELECT idempotency_key, state FROM events").fetchall()
        kept = {key.decode(): state for key, state in rows}
        sent = {key: len(bodies) for key, bodies in receiver.sent.items()}
        self.assertEqual(set(kept.values()) - {2}, set(), "an event without a final record")
        self.assertEqual({f"/test#e{i}" for i in range(acknowledged)} - set(kept), set(), "an acknowledged event is lost")
        self.assertEqual(set(kept), set(sent), "kept and sent differ")
        twice = {key for key, n in sent.items() if n > 1}
        self.assertLessEqual(set(sent.values()), {1, 2})
        self.assertLessEqual(len(twice), self.HELD, "more than the leased ones were sent twice")
        self.assertEqual(twice & finished, set(), "an event with a result was sent again")
        self.assertTrue(all(len(set(bodies)) == 1 for bodies in receiver.sent.values()))
        return acknowledged, len(kept), len(twice), before

    def calls_of_a_run(self):
        """How often one thread makes each call, at most: strace counts the calls of each thread for itself."""
        with Receiver() as receiver:
            subprocess.run(self.first_run(self.path("count.db"), receiver.url, (*STRACE, "-o", self.path("calls"), "-e", "trace=" + ",".join(CALLS))),
                           input=self.given(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=True, env=TRACED)
        counts = collections.Counter()
        with open(self.path("calls"), encoding="utf-8", errors="replace") as file:
            for line in file:
                found = re.match(r"(\d+) +(\w+)\(", line)
                if found:
                    counts[found[2], found[1]] += 1
        most = collections.Counter()
        for (call, _), n in counts.items():
            most[call] = max(most[call], n)
        return most

    def killed_at(self, call, n):
        journal = self.path(f"{call}-{n}.db")
        with Receiver() as receiver:
            child = subprocess.run(self.first_run(journal, receiver.url, (*STRACE, "-o", os.devnull, "-e", "trace=" + call, "-e", f"inject={call}:signal=KILL:when={n}")),
                                   input=self.given(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, env=TRACED)
            try:
                found = self.finish_and_check(journal, receiver, child.stdout)
            except AssertionError as problem:
                raise AssertionError(f"killed at {call} {n}: {problem}") from problem
        for suffix in ("", "-wal", "-shm", ".lock"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(journal + suffix)
        return child.returncode, *found

    def test_killed_at_every_write_nothing_that_was_acknowledged_is_lost(self):
        if not can_trace():
            self.skipTest("strace cannot trace here: install it, and allow ptrace")
        most = self.calls_of_a_run()
        self.assertGreater(most["pwrite64"], 50)
        self.assertGreater(most["fdatasync"], 5)
        points = [(call, n) for call in sorted(most) for n in range(1, most[call] + 1)]
        every = EVERY or max(1, len(points) // 40)
        chosen = [(call, n) for call in sorted(most) for n in range(1, most[call] + 1, every)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            ends = list(pool.map(lambda point: self.killed_at(*point), chosen))
        killed = [e for e in ends if e[0] != 0]
        self.assertGreater(len(killed), len(ends) // 2)  # a run may make fewer calls than the one that was counted
        total = [sum(e[i] for e in ends) for i in range(1, 5)]
        print(f"\n{len(points)} calls ({dict(most)}), {len(chosen)} runs, {len(killed)} of them killed: {total[0]} events acknowledged, {total[1]} kept and "
              f"delivered, {total[2]} sent twice", file=sys.stderr)

    def test_a_signal_at_any_moment_loses_nothing_and_sends_nothing_twice_that_has_a_result(self):
        for i in range(12):
            journal = self.path(f"term-{i}.db")
            with Receiver() as receiver:
                child = subprocess.Popen(self.first_run(journal, receiver.url), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                feeder = threading.Thread(target=child.stdin.write, args=(self.given(),))
                feeder.start()
                wait_for(lambda: receiver.requests >= 1 + i * 16)
                child.send_signal(signal.SIGTERM)
                feeder.join()
                printed, complaints = child.communicate(timeout=60)
                self.assertEqual(child.returncode, 1, complaints)
                acknowledged, kept, twice, _ = self.finish_and_check(journal, receiver, printed)
                self.assertEqual((acknowledged, twice), (kept, 0))  # the deliveries that were under way had their time


if __name__ == "__main__":
    main()
