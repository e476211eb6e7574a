#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Three JetStream nodes and three `deliver` processes: whatever is killed or cut off, every event has one final record.

AGAIN_CLUSTER_EVENTS: how many events (400 unless it is given; 100000 is what docs/delivery.md has the figures of).
"""
import collections
import contextlib
import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Run, Service, event, lines, main, program, wait_for  # noqa: E402
from nats_accounts import accounts  # noqa: E402
from nats_cluster import Cluster, free_ports, server_program  # noqa: E402
from recorder import Recorder  # noqa: E402
from test_listen import Listening  # noqa: E402

EVENTS = int(os.environ.get("AGAIN_CLUSTER_EVENTS", "400"))
LEASE = 5 if EVENTS > 1000 else 2  # seconds
MANY = EVENTS > 1000
PAUSE = 4 if MANY else 0.7  # seconds between two kills
CUT = 10 if MANY else 3  # seconds without one node


class Receiver:
    """Counts requests by event: its id is in the body. Every tenth event is refused at its first attempt. Keeps a connection open."""

    def __init__(self):
        self.keys, self.sent, self.lock = collections.defaultdict(set), collections.Counter(), threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_POST(self):
                self.server.of.take(self)

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads, of, request_queue_size = True, self, 256

            def handle_error(self, *_):  # a client that was killed
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def take(self, handler):
        length = int(handler.headers["Content-Length"])
        body = handler.rfile.read(length)
        if len(body) < length:
            return
        number = json.loads(body)["data"]["n"]
        with self.lock:
            self.sent[number] += 1
            self.keys[number].add(handler.headers["Idempotency-Key"])
            status = 503 if number % 10 == 3 and self.sent[number] == 1 else 200
        handler.send_response_only(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Worker:
    """A `deliver` that reads its share of the events from a pipe. Started anew, it is fed what was not acknowledged."""

    def __init__(self, place, url, share, pace):
        self.words = [program("deliver"), "--journal", place, "--replicas", "3", "--lease", f"{LEASE}s", "--acknowledge", "--attempts", "3",
                      "--base", "5ms", "--redeliver-base", "50ms", "--redeliver-cap", "1s", "--parallel", "32", "--queue", "32", url]
        self.pace = pace  # seconds from one event to the next
        self.share, self.acknowledged, self.kills, self.complaints, self.held = share, 0, 0, [], 64
        self.start()

    def start(self):
        self.base = self.acknowledged
        self.child = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.threads = [threading.Thread(target=f, args=(self.child,)) for f in (self.feed, self.hear, self.listen)]
        for t in self.threads:
            t.start()

    def feed(self, child):
        with contextlib.suppress(OSError):
            for number in self.share[self.base:]:
                child.stdin.write(lines(event(number)))
                if self.pace:
                    child.stdin.flush()
                    time.sleep(self.pace)
            child.stdin.flush()

    def hear(self, child):
        for line in child.stderr:
            self.complaints.append(line.decode().rstrip())

    def listen(self, child):
        for line in child.stdout:
            if line.startswith(b'{"acknowledged"') and line.endswith(b"\n"):
                self.acknowledged = self.base + json.loads(line)["acknowledged"]

    def gone(self):
        code = self.child.wait(timeout=60)
        for t in self.threads:
            t.join()
        with contextlib.suppress(OSError):
            self.child.stdin.close()
        self.child.stdout.close(), self.child.stderr.close()
        return code

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.gone()
        self.kills += 1

    def restart(self):
        """It may find no server that is ready: then it says so, and whoever runs it starts it again."""
        self.start()

    def alive(self):
        return self.child.poll() is None

    def end(self):
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
        return self.gone()


def numbers(place):
    done = Run("deliver", "journal", "stats", place)
    return json.loads(done.out) if done.code == 0 else {"unfinished": 1 << 60}


class Clusters(unittest.TestCase):
    def deliver_all(self, cluster, disturb, stream="CLUSTER", events=EVENTS, seconds=0):
        """Feeds all events to three workers, in so many seconds at least, disturbs them until all are acknowledged and finished, and looks
        at what is left."""
        receiver = Receiver()
        self.addCleanup(receiver.close)
        place = cluster.place(stream)
        cluster.wait(lambda: Run("deliver", "--journal", place, "--replicas", "3", "--lease", f"{LEASE}s", receiver.url).code == 0)
        began = time.monotonic()
        workers = [Worker(place, receiver.url, range(i, events, 3), 3 * seconds / events) for i in range(3)]
        over = threading.Event()
        try:
            trouble = threading.Thread(target=disturb, args=(cluster, workers, over))
            trouble.start()
            end = time.monotonic() + max(120, events / 25)
            while not all(w.acknowledged == len(w.share) for w in workers) or numbers(place)["unfinished"] > 0:
                self.assertLess(time.monotonic(), end, [w.complaints[-3:] for w in workers])
                for w in workers:
                    if not over.is_set() and not w.alive() and not getattr(w, "away", False):
                        w.gone()
                        w.restart()
                time.sleep(0.1)
            took = time.monotonic() - began
        finally:
            over.set()
            trouble.join()
            for w in workers:
                w.end()
        self.look(place, receiver, workers, took, events)

    def look(self, place, receiver, workers, took, events):
        listed = Run("deliver", "journal", "export", place, timeout=600)
        self.assertEqual(listed.code, 0, listed.err)
        records = [json.loads(line) for line in listed.out.splitlines()]
        self.assertEqual(sorted(int(r["id"][1:]) for r in records), list(range(events)), "one final record for each event")
        self.assertEqual({r["state"] for r in records}, {"done"})
        self.assertEqual({n: len(keys) for n, keys in receiver.keys.items() if len(keys) != 1}, {}, "one key for each event")
        self.assertEqual(set(receiver.sent), set(range(events)))
        for r in records:
            self.assertEqual(f'"{r["key"]}"', next(iter(receiver.keys[int(r["id"][1:])])))
            self.assertGreaterEqual(receiver.sent[int(r["id"][1:])], r["attempts"])
        requests, attempts = sum(receiver.sent.values()), sum(r["attempts"] for r in records)
        kills = sum(w.kills for w in workers)
        more = sum(1 for r in records if receiver.sent[int(r["id"][1:])] > r["attempts"])
        print(f"{events} events in {took:.1f} s: {requests} requests, {attempts} attempts recorded, {kills} workers killed, "
              f"{self.cuts} nodes killed or cut off, {more} events with sends that no record counts")
        # Not counted: what was under way or not recorded yet when its worker was killed, or when its lease ended because no node took the
        # record in time. For each disturbance that is at most what the workers hold.
        self.assertLessEqual(more, kills * workers[0].held + self.cuts * 3 * workers[0].held)
        if not kills and not self.cuts:
            self.assertEqual(requests, attempts)

    def test_a_node_and_a_worker_are_killed_and_restarted_every_few_seconds(self):
        self.cuts = 0
        chance = random.Random(7)

        def disturb(cluster, workers, over):
            node = 0
            while (MANY or node < 2) and not over.wait(PAUSE):
                w = chance.choice(workers)
                w.away = True
                if w.alive():
                    w.kill()
                w.away = False  # whoever watches starts it again
                if over.wait(PAUSE):
                    return
                n = cluster.nodes[node % 3]
                node += 1
                n.kill()
                self.cuts += 1
                over.wait(1)
                n.start()
                other = cluster.nodes[(node + 1) % 3]
                wait_for(lambda: over.is_set() or all(other.current("CLUSTER" + part) for part in ("", "_results", "_dead", "_endpoints")), 60)

        with Cluster() as cluster:
            self.deliver_all(cluster, lambda *_: None, "QUIET", 100)  # nothing disturbs: the counts are equal
            self.deliver_all(cluster, disturb, seconds=0 if MANY else 6)


class Refusals(unittest.TestCase):
    def refused(self, sentence, *words):
        run = Run("deliver", *words, "http://127.0.0.1:9/")
        self.assertEqual((run.code, run.out), (2, ""), run.err)
        self.assertIn(sentence, run.err)
        return run

    def test_a_command_line_that_makes_no_sense_is_refused_with_a_sentence(self):
        self.refused("STREAM is made of letters", "--journal", "nats://127.0.0.1")
        self.refused("a password does not belong into a URL", "--journal", "nats://me:geheim@127.0.0.1/ORDERS")
        self.refused("need --journal nats://HOST,HOST/STREAM", "--journal", "events.db", "--replicas", "3")
        self.refused("need --journal nats://HOST,HOST/STREAM", "--lease", "3s")
        self.refused("start it, or name one that runs", "--journal", "nats://127.0.0.1:1/ORDERS")
        self.refused("/nonexistent cannot be read", "--journal", "nats://127.0.0.1:1/ORDERS", "--journal-credentials", "/nonexistent")
        self.refused("/nonexistent has no line to read", "--journal", "nats://127.0.0.1:1/ORDERS", "--journal-token-file", "/nonexistent")


class OneServer(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        (port,) = free_ports(1)
        conf, self.token, self.wrong = (os.path.join(folder.name, name) for name in ("conf", "token", "wrong"))
        for path, text in ((self.token, "geheim7\n"), (self.wrong, "falsch7\n"), (conf, json.dumps(
                {"listen": f"127.0.0.1:{port}", "jetstream": {"store_dir": folder.name}, "authorization": {"token": "geheim7"}}))):
            with open(path, "w") as file:
                file.write(text)
        server = subprocess.Popen([server_program(), "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.place = f"nats://127.0.0.1:{port}/ORDERS"
        self.journal = ("--journal", self.place, "--journal-token-file", self.token)
        wait_for(lambda: Run("deliver", *self.journal, "http://127.0.0.1:9/").code == 0)

    def endpoint(self, *words):
        return Run("deliver", "endpoint", "--journal-token-file", self.token, *words)

    def test_a_token_is_read_from_its_file_and_shown_nowhere(self):
        run = Run("deliver", "--journal", self.place, "--journal-token-file", self.wrong, "http://127.0.0.1:9/")
        self.assertEqual((run.code, run.out), (2, ""), run.err)
        self.assertIn("the server refuses this user", run.err)
        self.assertNotIn("falsch7", run.err)
        for words in (("stats",), ("export",), ("list",)):
            run = Run("deliver", "journal", *words, "--journal-token-file", self.token, self.place)
            self.assertEqual(run.code, 0, run.err)
            self.assertNotIn("geheim7", run.out + run.err)
        self.assertIn("there is no event 7", Run("deliver", "journal", "--journal-token-file", self.token, "retry", self.place, "7").err)

    def test_a_batch_that_can_never_be_stored_leaves_the_intake_healthy(self):
        if "built without Boost.Beast" in Run("deliver", "--listen", "0", "http://127.0.0.1:9/").err:
            self.skipTest("deliver was built without Boost.Beast")
        with Recorder() as receiver, Listening(self.place, *self.journal[2:], receiver.url) as service:
            status, said = service.post(json.dumps({"id": "x" * 3000}))
            self.assertEqual(status, 400, said)
            self.assertIn("the journal does not take these events", said["error"])
            self.assertEqual(service.ask("GET", "/healthz")[0], 200)
            self.assertEqual(service.post('{"id":"a"}')[0], 202)
            wait_for(lambda: service.results)
            self.assertEqual(service.end(signal.SIGTERM), 0)

    def test_an_endpoint_is_paused_and_resumed_for_every_worker(self):
        with Recorder() as receiver:
            def states():
                listed = self.endpoint("list", self.place)
                self.assertEqual(listed.code, 0, listed.err)
                return [line.split()[0] for line in listed.out.splitlines() if receiver.url in line]

            self.assertEqual(Run("deliver", *self.journal, receiver.url).code, 0)
            self.assertEqual(states(), ["available"])
            with Service(*self.journal, "--log", "logfmt", receiver.url) as running:
                said = self.endpoint("pause", self.place, receiver.url)
                self.assertEqual((said.code, said.out), (0, f"{receiver.url}: is paused\n"), said.err)
                wait_for(lambda: any("state=paused was=available by=by_hand" in line for line in running.complaints))
                self.assertEqual(running.end(), 0)
            later = Run("deliver", *self.journal, receiver.url, stdin=lines(event(1)))
            self.assertEqual((later.code, later.out, len(receiver.requests)), (0, "", 0), later.err)
            self.assertEqual(states(), ["paused"])
            self.assertEqual(self.endpoint("resume", self.place, receiver.url).code, 0)
            last = Run("deliver", *self.journal, receiver.url, stdin=lines(event(2)))
            self.assertEqual(([r["id"] for r in last.lines], states()), (["e2"], ["available"]), last.err)
        unknown = self.endpoint("disable", self.place, "http://h/?secret=1")
        self.assertEqual((unknown.code, unknown.out), (2, ""))
        self.assertIn("knows no endpoint http://h/; deliver endpoint list FILE shows them", unknown.err)


@unittest.skipUnless(shutil.which("openssl"), "keys are made by openssl")
class Credentials(unittest.TestCase):
    def test_a_file_of_credentials_lets_in_and_one_of_an_unknown_account_does_not(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        settings, known, unknown = accounts(folder.name)
        (port,) = free_ports(1)
        conf = os.path.join(folder.name, "conf")
        with open(conf, "w") as file:
            json.dump({"listen": f"127.0.0.1:{port}", "jetstream": {"store_dir": folder.name}, **settings}, file)
        server = subprocess.Popen([server_program(), "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        place = f"nats://127.0.0.1:{port}/ORDERS"
        with open(known) as file:
            secrets = [line for line in file.read().splitlines() if len(line) > 40]
        with Recorder() as receiver:
            def deliver(credentials, *events):
                return Run("deliver", "--journal", place, *credentials, receiver.url, stdin=lines(*events))

            wait_for(lambda: deliver(("--journal-credentials", known)).code == 0)
            run = deliver(("--journal-credentials", known), event(1))
            self.assertEqual((run.code, [r["id"] for r in run.lines]), (0, ["e1"]), run.err)
            for wrong in (("--journal-credentials", unknown), ()):
                run = deliver(wrong, event(2))
                self.assertEqual((run.code, run.out), (2, ""), run.err)
                self.assertIn("the server refuses this user", run.err)
            self.assertEqual(len(receiver.requests), 1)
        for words in (("stats", place), ("export", place)):
            run = Run("deliver", "journal", words[0], "--journal-credentials", known, words[1])
            self.assertEqual(run.code, 0, run.err)
            self.assertFalse([s for s in secrets if s in run.out + run.err])


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("ip"), "a network namespace needs root and ip (Debian: iproute2)")
class Partition(Clusters):
    test_a_node_and_a_worker_are_killed_and_restarted_every_few_seconds = None
    # Of this process alone: another one may run at the same time, or may have been killed before it took its link away.
    NAME, (B, C) = f"again{os.getpid() % 100000}", divmod(os.getpid() % 16384 * 4, 256)
    HERE, THERE = f"10.231.{B}.{C + 1}", f"10.231.{B}.{C + 2}"

    def setUp(self):
        def ip(*words):
            return subprocess.run(["ip", *words], stderr=subprocess.PIPE, text=True)

        self.ip, link = ip, self.NAME[:8] + "v"
        self.link = link
        made = ip("netns", "add", self.NAME)
        if made.returncode != 0:
            self.skipTest("no network namespace here: " + made.stderr.strip())
        self.addCleanup(ip, "netns", "del", self.NAME)
        for words in (("link", "add", link, "type", "veth", "peer", "name", "inside", "netns", self.NAME),
                      ("addr", "add", self.HERE + "/30", "dev", link), ("link", "set", link, "up"),
                      ("-n", self.NAME, "addr", "add", self.THERE + "/30", "dev", "inside"), ("-n", self.NAME, "link", "set", "inside", "up"),
                      ("-n", self.NAME, "link", "set", "lo", "up")):
            done = ip(*words)
            if done.returncode != 0:
                self.skipTest("no pair of links here: " + done.stderr.strip())
        self.addCleanup(ip, "link", "del", link)

    def test_a_node_is_cut_off_from_the_others(self):
        self.cuts = 0

        def disturb(cluster, workers, over):
            over.wait(1)
            self.assertEqual(self.ip("link", "set", self.link, "down").returncode, 0)
            self.cuts += 1
            time.sleep(CUT)
            self.assertEqual(self.ip("link", "set", self.link, "up").returncode, 0)

        inside = ("ip", "netns", "exec", self.NAME)
        with Cluster((self.HERE, self.HERE, self.THERE), ((), (), inside)) as cluster:
            self.deliver_all(cluster, disturb, seconds=0 if MANY else CUT + 1)


if __name__ == "__main__":
    server_program()
    main()
