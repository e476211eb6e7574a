#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The README's sample and the demo, run as the README says: what they print is what the docs show.

    test_samples.py EXAMPLES BIN...    EXAMPLES: the folder docs/examples
"""
import os
import re
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Run, Server, main, program  # noqa: E402

EXAMPLES = sys.argv.pop(1)


def expected(name):
    """Lines as patterns: # is any number."""
    with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
        return [re.escape(line).replace(r"\#", r"\d+(?:\.\d+)?") for line in file.read().splitlines()]


class Quote(unittest.TestCase):
    def setUp(self):
        with socket.socket() as probe:  # the sample names its port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", 8080))
            except OSError:
                self.skipTest("port 8080 is taken")

    def check(self, script, code, pattern):
        with Server(script, "--port", "8080") as server:
            run = Run("quote")
        self.assertEqual(run.code, code)
        self.assertRegex(run.out, "^" + pattern + "\n$")
        return server.final

    def test_a_quote_is_printed(self):
        good, _ = expected("quote.out")
        seen = self.check([{"do": "respond", "status": 503}, {"do": "respond", "status": 200, "body": "ACME 42.17 EUR"}], 0, good)
        self.assertEqual([r["target"] for r in seen["seen"]], ["/quote/ACME"] * 2)

    def test_a_failure_is_printed_in_one_line(self):
        _, bad = expected("quote.out")
        seen = self.check([{"do": "respond", "status": 503}] * 4, 1, bad)
        self.assertEqual(seen["requests"], 4)


class Demo(unittest.TestCase):
    def test_the_demo_proves_that_nothing_was_lost(self):
        run = Run("demo", timeout=120)
        self.assertEqual(run.code, 0, run.out)
        self.assertNotIn("\x1b", run.out, "no colours where there is no terminal")
        self.assertEqual(run.out.count("✓"), 3)
        found = re.search(r"the server saw (\d+) requests, the results speak of (\d+) attempts(?:, (\d+) of which never went out)?", run.out)
        seen, attempts, kept_back = (int(n or 0) for n in found.groups())
        self.assertEqual(seen, attempts - kept_back)
        self.assertGreater(seen, 300)

    def test_the_demo_says_what_it_cannot_read(self):
        done = subprocess.run([program("demo"), "/nowhere/at/all"], stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (2, b"demo: cannot read /nowhere/at/all\n"))


main()
