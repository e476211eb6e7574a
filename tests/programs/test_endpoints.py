#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`deliver endpoint` and the states of endpoints in a journal; the flags for what one endpoint may take."""
import contextlib
import json
import os
import sqlite3
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Run, Service, event, lines, main, wait_for  # noqa: E402
from recorder import Recorder  # noqa: E402

ONCE = ("--attempts", 1, "--base", "1ms", "--short-wait", 0)


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.journal = os.path.join(folder.name, "events.db")

    def waiting(self):
        with contextlib.closing(sqlite3.connect(self.journal)) as db:
            return db.execute("SELECT count(*) FROM events WHERE state = 0 AND last_error <> x''").fetchone()[0]

    def endpoint(self, *words):
        return Run("deliver", "endpoint", *words)

    def listed(self):
        """state, name and why of each endpoint"""
        fields = [line.split("  ") for line in self.endpoint("list", self.journal).out.splitlines()]
        return [(f[0].strip(), f[-2], f[-1]) for f in fields]


class States(InFolder):
    def test_an_endpoint_is_paused_and_resumed_while_deliver_runs(self):
        with Recorder() as receiver, Service("--journal", self.journal, "--log", "logfmt", "--metrics", 0, receiver.url) as running:
            running.give(event(1))
            wait_for(lambda: len(running.results) == 1 and self.listed())
            self.assertEqual(self.listed(), [("available", receiver.url, "-")])
            said = self.endpoint("pause", self.journal, receiver.url + "?token=1")
            self.assertEqual((said.code, said.out), (0, f"{receiver.url}: is paused\n"))
            wait_for(lambda: any("state=paused was=available by=by_hand" in line for line in running.complaints))
            running.give(event(2), event(3))
            wait_for(lambda: self.waiting() == 2)
            self.assertEqual(len(receiver.requests), 1)
            self.assertEqual(self.listed(), [("paused", receiver.url, "by_hand")])
            said = self.endpoint("resume", self.journal, receiver.url)
            self.assertEqual((said.code, said.out), (0, f"{receiver.url}: is resumed\n"))
            wait_for(lambda: len(running.results) == 3)
            self.assertTrue(all(r["ok"] and r["attempts"] == 1 for r in running.results))
            self.assertEqual(running.end(), 0)
        self.assertEqual(len(receiver.requests), 3)

    def test_410_disables_over_restarts_until_it_is_resumed(self):
        with Recorder(lambda request, n: 410 if n == 1 else 200) as receiver:
            first = Run("deliver", "--journal", self.journal, "--parallel", 1, "--queue", 0, *ONCE, receiver.url, stdin=lines(event(1), event(2)))
            self.assertEqual((first.code, first.out, len(receiver.requests)), (0, "", 1))
            self.assertIn("2 events stay in the journal", first.err)
            self.assertIn(f"deliver: {receiver.url} is disabled (gone): 410", first.err)
            ((state, name, why),) = self.listed()
            self.assertEqual((state, name), ("disabled", receiver.url))
            self.assertTrue(why.startswith("gone: 410"), why)
            Run("deliver", "journal", "retry", self.journal, "e1", "e2")
            second = Run("deliver", "--journal", self.journal, *ONCE, receiver.url)
            self.assertEqual((second.code, second.out, len(receiver.requests)), (0, "", 1))
            self.assertEqual(self.endpoint("resume", self.journal, receiver.url).code, 0)
            third = Run("deliver", "--journal", self.journal, *ONCE, receiver.url)
            self.assertEqual(sorted((r["id"], r["ok"], r["attempts"]) for r in third.lines), [("e1", True, 2), ("e2", True, 1)])

    def test_an_endpoint_of_several_is_disabled_and_the_others_get_its_events(self):
        with Recorder() as a, Recorder() as b:
            Run("deliver", "--journal", self.journal, a.url, b.url)
            self.assertEqual(self.endpoint("disable", self.journal, a.url).out, f"{a.url}: is disabled\n")
            run = Run("deliver", "--journal", self.journal, a.url, b.url, stdin=lines(*map(event, range(1, 5))))
            self.assertEqual((run.code, len(run.lines), len(a.requests), len(b.requests)), (0, 4, 0, 4))
            both = Run("deliver", "--journal", self.journal, "--to", "all", *ONCE, a.url, b.url, stdin=lines(event(9)))
            self.assertEqual((both.out, len(a.requests), len(b.requests)), ("", 0, 5))
            self.endpoint("resume", self.journal, a.url)
            last = Run("deliver", "--journal", self.journal, "--to", "all", *ONCE, a.url, b.url)
            self.assertEqual(([r["ok"] for r in last.lines], len(a.requests), len(b.requests)), ([True], 1, 5))

    def test_without_a_journal_410_ends_the_other_events_with_a_reason_and_a_letter(self):
        letters = self.journal + ".dead"
        with Recorder(lambda request, n: 410) as receiver:
            run = Run("deliver", "--parallel", 1, "--queue", 0, "--dead-letters", letters, receiver.url, stdin=lines(*map(event, range(1, 6))))
        self.assertEqual((run.code, len(receiver.requests)), (1, 1))
        self.assertEqual([r["reason"] for r in run.lines], ["endpoint_disabled"] * 5)
        with open(letters, encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["reason"] for line in file], ["endpoint_disabled"] * 5)

    def test_failing_for_long_disables(self):
        with Recorder(lambda request, n: 500) as receiver:
            run = Run("deliver", "--disable-after", "1us", "--parallel", 1, "--queue", 0, "--attempts", 1, receiver.url,
                      stdin=lines(*map(event, range(1, 16))))
        self.assertEqual(len(receiver.requests), 10)
        self.assertEqual([r["reason"] for r in run.lines], ["attempts_exhausted"] * 9 + ["endpoint_disabled"] * 6)


class Usage(InFolder):
    def test_every_mistake_has_a_sentence(self):
        def said(*words):
            run = self.endpoint(*words)
            self.assertEqual((run.code, run.out, len(run.err.splitlines())), (2, "", 1), run.err)
            return run.err

        self.assertIn("needs a command; deliver endpoint --help", said())
        self.assertIn("no command is called 'stop'", said("stop", "x"))
        self.assertIn("list needs the FILE of a journal", said("list"))
        self.assertIn("there is no journal", said("list", self.journal))
        self.assertIn("list takes a FILE and nothing else", said("list", self.journal, "x"))
        self.assertIn("pause needs a URL or a name after the FILE", said("pause", self.journal))
        self.assertIn("--journal-... are for a journal on NATS", said("--journal-ca", "x", "list", self.journal))
        with open(self.journal, "w", encoding="utf-8") as file:
            file.write("no journal" * 1000)
        self.assertIn("events.db", said("list", self.journal))
        os.remove(self.journal)
        with Recorder() as receiver:
            Run("deliver", "--journal", self.journal, receiver.url)
        self.assertIn("knows no endpoint http://h/; deliver endpoint list FILE shows them", said("pause", self.journal, "http://h/?secret=1"))
        self.assertEqual(self.endpoint("--help").code, 0)

    def test_the_flags_are_checked_and_explained(self):
        url = "http://127.0.0.1:9/"
        for words, complaint in (
            (("--endpoint-rate", "fast"), "not a number"),
            (("--endpoint-rate", "5/w"), "not a rate"),
            (("--endpoint-burst", "5"), "--endpoint-burst needs --endpoint-rate"),
            (("--endpoint-budget", "-1"), "not a number"),
            (("--disable-after", "0"), "must be above 0"),
        ):
            run = Run("deliver", *words, url)
            self.assertEqual(run.code, 2)
            self.assertIn(complaint, run.err)
        told = Run("deliver", "--explain", "--endpoint-rate", "300/m", "--endpoint-burst", 10, "--endpoint-budget", "0.5", "--disable-after", "24h", url).out
        self.assertIn("5 per second with a burst of 10; repeated attempts: 0.5 for each first one", told)
        self.assertIn("disabled by 410, or after 24 h of failures without one success", told)
        self.assertNotIn("after", Run("deliver", "--explain", "--disable-after", "never", url).out.splitlines()[-1])
        members = self.journal + ".json"
        with open(members, "w", encoding="utf-8") as file:
            json.dump([{"url": url, "endpoint-rate": "50/s", "endpoint-burst": 2, "endpoint-budget": "none", "disable-after": "1h"}], file)
        told = Run("deliver", "--explain", "--endpoints", members).out
        self.assertIn("50 per second with a burst of 2\ndisabled by 410, or after 1 h", told)


if __name__ == "__main__":
    main()
