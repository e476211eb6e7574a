#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`deliver` without memory: one allocation fails, each in turn, and every event still has its result.

    test_memory.py SHIM BIN...     SHIM: the library that makes an allocation fail (fail_malloc.cpp)
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Server, event, lines, main, program, unread  # noqa: E402

SHIM = os.path.abspath(sys.argv.pop(1))
OK, BUSY, NO = ({"do": "respond", "status": status} for status in (202, 503, 422))
EVENTS = [event(i) for i in range(10)] + [{"hello": 1}]
INPUT = lines(*EVENTS[:5]) + b"malformed\n" + lines(*EVENTS[5:])
SCRIPT = {"*": [OK], '"/test#e3"': [BUSY, OK]} | {f'"/test#e{i}"': [NO] for i in (2, 4, 7)}
RUNS = int(os.environ.get("AGAIN_MALLOC_RUNS", "150"))  # how many of the allocations fail, spread over all; more for a long test


class Memory(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dead, self.count = os.path.join(folder.name, "dead"), os.path.join(folder.name, "count")

    def run_with(self, server, failing, *arguments):
        for path in (self.dead, self.count):
            if os.path.exists(path):
                os.unlink(path)
        env = {**os.environ, "LD_PRELOAD": SHIM, "FAIL_MALLOC": str(failing), "FAIL_MALLOC_COUNT": self.count}
        read, write = os.pipe()
        os.write(write, INPUT)
        os.close(write)
        done = subprocess.run([program("deliver"), server.url(), "--dead-letters", self.dead, "--base", "1ms", "--parallel", "4", "--queue", "2", *arguments],
                              stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, timeout=60)
        left = unread(read)
        os.close(read)
        return done, left

    def letters(self):
        if not os.path.exists(self.dead):
            return set()
        with open(self.dead) as file:
            return {json.loads(line)["id"] for line in file}

    def check(self, *arguments):
        with Server(SCRIPT, "--key", "Idempotency-Key", "--keep", "0") as server:
            done, _ = self.run_with(server, 0, *arguments)
            self.assertEqual((done.returncode, len(done.stdout.splitlines())), (1, len(EVENTS)), done.stderr)
            with open(self.count) as file:
                allocations = int(file.read())
            started = brief = 0
            for failing in range(1, allocations + 1, max(allocations // RUNS, 1)):
                with self.subTest(failing=failing):
                    done, left = self.run_with(server, failing, *arguments)
                    if left == len(INPUT):  # simdjson ends the process where it has no memory for its list of processors
                        self.assertEqual(done.stdout, b"", "nothing was read, and nothing is lost")
                        continue
                    self.assertEqual(done.returncode, 1, done.stderr)  # there is a malformed line
                    started += 1
                    results = [json.loads(line) for line in done.stdout.splitlines()]
                    refused = [int(n) for n in re.findall(r"^deliver: line (\d+): not delivered: ", done.stderr.decode(), re.M)]
                    self.assertEqual(sorted([r["line"] for r in results] + refused), list(range(1, len(EVENTS) + 2)), "each line once: a result, or why not")
                    said = done.stderr.decode()
                    letters = self.letters()
                    for r in results:
                        if r["ok"] or r["id"] in letters:
                            continue
                        # What is in neither file is said by its line, or by its id where the letter itself could not be written.
                        self.assertTrue(f"deliver: line {r['line']}: no result: " in said or f"deliver: {r['id']}: its dead letter is LOST" in said, (r, said))
                        brief += 1
            self.assertGreater(started, RUNS // 4)
        return brief

    def test_one_failing_allocation_ends_nothing_else_and_loses_no_event_silently(self):
        self.check()

    def test_nor_with_logs_and_pages(self):
        self.check("--log", "json", "-v", "--metrics", "0", "--export", "0")


main()
