#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every command of a page, such as docs/sink.md, is run, in order and in one shell, and prints what the page shows.

    test_tutorial.py PAGE BIN...

In what the page shows `#` is any number, `…` anything, and a line that is `…` alone any lines.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import FOLDERS, Run, Server, main, program  # noqa: E402

PAGE = sys.argv.pop(1)
MARK = "=== block"
OTHERS = ("9464", "9465", "8090", "4221", "4222", "4223", "4224", "6222", "6223", "6224")
OK = {"do": "respond", "status": 200}


def blocks(text):
    """(commands, what they print) of each ```sh block and the ```text block after it."""
    found, pattern = [], re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
    for kind, body in pattern.findall(text):
        if kind == "sh":
            found.append([body, None])
        elif kind == "text" and found and found[-1][1] is None:
            found[-1][1] = body
    return found


def as_pattern(shown):
    lines = []
    for line in shown.splitlines():
        if line == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(re.escape(line).replace(r"\#", r"\d+(?:\.\d+)?").replace("…", ".*") + r"\n")
    return "".join(lines)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Tutorial(unittest.TestCase):
    def test_every_command_prints_what_the_page_shows(self):
        with open(PAGE, encoding="utf-8") as file:
            found = blocks(file.read())
        path = os.environ["PATH"] + ":/usr/sbin"
        if any("nats-server" in block[0] for block in found) and not shutil.which("nats-server", path=path):
            print("needs nats-server (Debian: nats-server)")
            os._exit(77)
        if not shutil.which("promtool"):  # test_promtool.py says so
            found = [block for block in found if "promtool" not in block[0]]
        if "built without Boost.Beast" in Run("deliver", "--listen", "0").err:  # test_listen.py says so
            found = [block for block in found if "--listen" not in block[0]]
        self.assertGreaterEqual(len(found), {"sink.md": 9, "delivery.md": 4, "from-pipe-to-cluster.md": 7}[os.path.basename(PAGE)])
        script = "set -o pipefail\nset -m\ntrap 'for job in $(jobs -p); do kill -9 -- -$job; done 2> /dev/null' EXIT\n" + "".join(f"echo '{MARK} {i}'\n{commands}" for i, (commands, _) in enumerate(found))
        busy, strict = [{"do": "respond", "status": 503}] * 2, [{"do": "respond", "status": 422}] * 8
        with tempfile.TemporaryDirectory() as folder, Server({"/busy": busy + [OK], "/strict": strict + [OK], "/silent": [{"do": "hang", "ms": 20000}] * 20, "*": [OK]}) as server:
            tools = os.path.join(folder, "bin")
            os.mkdir(tools)
            for name in ("deliver", "sample-sink"):
                os.symlink(os.path.abspath(program(name)), os.path.join(tools, name))
            ports = {p: free_port() for p in OTHERS}
            for theirs, ours in (("8080", server.port), *ports.items()):
                script = script.replace(f":{theirs}", f":{ours}").replace(f" {theirs} ", f" {ours} ")
            run = subprocess.run(["bash", "-c", script], cwd=folder, env={**os.environ, "PATH": tools + ":" + path}, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, timeout=120)
        printed = re.split(rf"^{MARK} \d+\n", run.stdout.decode(), flags=re.M)[1:]
        self.assertEqual(len(printed), len(found), run.stderr.decode())
        for (commands, shown), text in zip(found, printed):
            self.assertIsNotNone(shown, commands)
            self.assertRegex(text, "^" + as_pattern(shown) + r"\Z", commands + run.stderr.decode())


main()
