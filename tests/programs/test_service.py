#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`deliver` as a service: the units that the page shows, and a FIFO that a service manager passes and keeps.

    test_service.py SOURCE BIN...
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Run, Server, Service, event, lines, main, program, unread, wait_for  # noqa: E402

SOURCE = sys.argv.pop(1)
UNITS = {name: os.path.join(SOURCE, "docs", "examples", "systemd", name) for name in ("deliver.socket", "deliver.service")}
OK = {"do": "respond", "status": 202}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def passing(fd, count=1, pid="$$"):
    """What a service manager does between fork and exec (sd_listen_fds(3))."""
    return {"through": ["sh", "-c", f'exec 3<&{fd}; export LISTEN_PID={pid} LISTEN_FDS={count}; exec "$@"', "sh"], "pass_fds": [fd]}


class Units(unittest.TestCase):
    def test_the_page_shows_the_units(self):
        shown = re.findall(r"^```ini\n# /etc/systemd/system/(\S+)\n(.*?)^```$", read(os.path.join(SOURCE, "docs", "sink.md")), re.M | re.S)
        self.assertEqual({name: text for name, text in shown}, {name: read(path) for name, path in UNITS.items()})

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed: the units were not verified")
    def test_systemd_finds_nothing_wrong_with_the_units(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, path in UNITS.items():
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(read(path).replace("/usr/local/bin/deliver", os.path.abspath(program("deliver"))))
            for name in UNITS:
                done = subprocess.run(["systemd-analyze", "verify", os.path.join(folder, name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
                about = [line for line in done.stdout.decode().splitlines() if folder in line or "deliver" in line]
                self.assertEqual((done.returncode, about), (0, []))

    def test_the_command_of_the_unit_is_one_that_deliver_takes(self):
        (command,) = re.findall(r"^ExecStart=\S+ (.*)$", read(UNITS["deliver.service"]), re.M)
        self.assertEqual(Run("deliver", *command.split(), "--explain").code, 0)


class Fifo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "fifo")
        os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)  # as systemd has it
        self.addCleanup(os.close, self.fd)

    def test_what_one_run_did_not_read_is_read_by_the_next_and_no_line_is_torn(self):
        given = [{"id": str(i)} for i in range(3000)]
        text = lines(*given, {"id": "last"})
        os.write(self.fd, text[:-8])  # the last line is not whole yet
        with Server({"*": [{"do": "hang"}]}) as server:
            first = Service(server.url(), "--parallel", 2, "--queue", 3, "--grace", "100ms", stdin=subprocess.DEVNULL, **passing(self.fd))
            wait_for(lambda: server.counts()["requests"] >= 2)
            first.end(signal.SIGTERM)
        self.assertGreater(unread(self.fd), 0)
        with Server({"*": [OK]}, "--keep", "0") as server:
            second = Service(server.url(), stdin=subprocess.DEVNULL, **passing(self.fd))
            wait_for(lambda: unread(self.fd) == 0)
            os.write(self.fd, text[-8:])
            wait_for(lambda: second.results and len(first.results) + len(second.results) == len(given) + 1)
            second.end(signal.SIGTERM)
        self.assertEqual(first.complaints + second.complaints, [])
        ids = [r["id"] for r in first.results + second.results]
        self.assertEqual(sorted(ids), sorted([e["id"] for e in given] + ["last"]), "each line once")
        self.assertTrue(all(r["ok"] for r in second.results))

    def test_only_what_was_passed_to_this_process_is_read_and_only_one_pipe(self):
        os.write(self.fd, lines(event(1)))
        with Server({"*": [OK]}) as server, socket.socket() as listening:
            def run(*arguments, fd=self.fd, **how):
                how = passing(fd, **how)
                return subprocess.run([*how["through"], program("deliver"), server.url(), *arguments], input=lines(event(2)), pass_fds=how["pass_fds"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            other = run(pid="1")
            self.assertEqual((other.returncode, other.stdout.count(b'"id":"e2"')), (0, 1))
            named = run("--input", "/dev/null")
            self.assertEqual((named.returncode, named.stdout), (0, b""))
            for done, why in ((run(count=2), b"LISTEN_FDS: 2 descriptors were passed; deliver reads one\n"),
                              (run(fd=listening.fileno()), b"LISTEN_FDS: a socket was passed; deliver reads a pipe: ListenFIFO= in the socket unit\n")):
                self.assertEqual((done.returncode, done.stdout, done.stderr), (2, b"", b"deliver: " + why))
        self.assertEqual(unread(self.fd), len(lines(event(1))))


main()
