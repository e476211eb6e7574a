#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`deliver` whose output is not read, or cannot be written: results hold up the reading, log lines are dropped, and signals are heard."""
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Server, event, lines, main, program, taken_in, unread, wait_for  # noqa: E402

OK = {"do": "respond", "status": 202}
QUEUE, WORKERS = 256, 16 + 256  # results that the writer holds, and coroutines that wait with one each (--parallel and --queue)


class FullPipe:
    """A pipe that takes nothing more: `filling` bytes are in it, and nobody reads."""

    def __init__(self, block=True):
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        self.filling = 0
        for size in (65536, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.filling += os.write(self.writer, b"x" * size)
        os.set_blocking(self.writer, block)

    def __enter__(self):
        return self

    def read(self):
        """All that comes until its last writer is gone, without the filling."""
        os.close(self.writer)
        self.writer = -1
        text = b""
        while part := os.read(self.reader, 65536):
            text += part
        return text[self.filling:]

    def __exit__(self, *_):
        for fd in (self.reader, self.writer):
            if fd >= 0:
                os.close(fd)


class Stalled(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.input, self.dead = os.path.join(self.folder.name, "events"), os.path.join(self.folder.name, "dead")

    def start(self, server, count, *arguments, **streams):
        with open(self.input, "wb") as file:
            file.write(lines(*map(event, range(count))))
        return subprocess.Popen([program("deliver"), server.url(), "--input", self.input, "--dead-letters", self.dead, *arguments], **streams)

    def letters(self):
        with open(self.dead) as file:
            return sorted(json.loads(line)["id"] for line in file)

    def test_a_stalled_reader_of_results_holds_up_the_reading_until_it_goes_on(self):
        for block in (True, False):
            with Server({"*": [OK]}, "--keep", "0") as server, FullPipe(block) as pipe:
                child = self.start(server, 2000, stdout=pipe.writer, stderr=subprocess.PIPE)
                wait_for(lambda: server.counts()["requests"] == QUEUE + WORKERS)
                self.assertIsNone(child.poll())
                results = [json.loads(line)["id"] for line in pipe.read().splitlines()]
                _, said = child.communicate(timeout=60)
            self.assertEqual((child.returncode, said), (0, b""))
            self.assertEqual(sorted(results), sorted(f"e{i}" for i in range(2000)))

    def test_a_signal_ends_a_program_whose_results_are_not_read_and_every_event_is_accounted_for(self):
        for what in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.dead)
            with Server({"*": [OK]}, "--keep", "0") as server, FullPipe() as pipe:
                child = self.start(server, 2000, "--grace", "100ms", stdout=pipe.writer, stderr=subprocess.PIPE)
                wait_for(lambda: server.counts()["requests"] == QUEUE + WORKERS)
                child.send_signal(what)
                _, said = child.communicate(timeout=60)
                self.assertEqual(pipe.read(), b"")
            self.assertEqual(child.returncode, 1)
            self.assertEqual(server.final["requests"], QUEUE + WORKERS, "nothing was begun that could not be told")
            why = "deliver: results cannot be written: Connection timed out; reading no further"
            told = said.decode().splitlines()
            self.assertEqual(told.count(why), 1, told)  # at any place: a result that comes just then may be named before
            told.remove(why)
            found = [re.fullmatch(r"deliver: line (\d+): (not )?delivered, but its result could not be written", line) for line in told]
            self.assertEqual([line for line, m in zip(told, found) if not m], [])
            by_line = {int(m[1]): m[2] is None for m in found}
            self.assertEqual(len(by_line), len(found), "each once")
            self.assertEqual(sorted(by_line), list(range(1, len(by_line) + 1)), "and each that was read")
            self.assertEqual(sum(by_line.values()), QUEUE + WORKERS)
            self.assertEqual(self.letters(), sorted(f"e{line - 1}" for line, ok in by_line.items() if not ok))

    def test_a_stalled_reader_of_the_log_costs_log_lines_and_nothing_else(self):
        with Server({"*": [OK]}, "--keep", "0") as server, FullPipe() as pipe:
            child = self.start(server, 2000, "--log", "json", "-v", stdout=subprocess.PIPE, stderr=pipe.writer)
            out, _ = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 0)
        self.assertEqual(sorted(json.loads(line)["id"] for line in out.splitlines()), sorted(f"e{i}" for i in range(2000)))

    def test_dropped_log_lines_are_counted_where_they_are_missing(self):
        with Server({"*": [OK]}, "--keep", "0") as server, FullPipe() as pipe:
            child = subprocess.Popen([program("deliver"), server.url(), "--log", "json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=pipe.writer)
            child.stdin.write(lines(*map(event, range(500))))
            child.stdin.flush()
            for _ in range(500):
                child.stdout.readline()
            os.read(pipe.reader, pipe.filling)
            pipe.filling = 0
            wait_for(lambda: unread(pipe.reader) > select.PIPE_BUF)  # a second write has begun: the lines of the first have left the queue
            child.stdin.write(lines(event(500)))
            child.stdin.close()
            log = pipe.read().decode().splitlines()
            child.stdout.close()
            child.wait(timeout=60)
        dropped = [int(m[1]) for line in log if (m := re.fullmatch(r"(\d+) lines dropped here: they were not read in time", line))]
        written = [json.loads(line) for line in log if line.startswith("{")]
        self.assertEqual(len(dropped), 1, log)
        self.assertEqual(len(written) + dropped[0], 2 * 501)

    def test_a_signal_is_heard_while_the_log_is_not_read(self):
        with Server({"*": [{"do": "hang"}]}) as server, FullPipe() as pipe:
            child = self.start(server, 1000, "--log", "json", "-v", "--grace", "100ms", stdout=subprocess.PIPE, stderr=pipe.writer)
            wait_for(lambda: server.counts()["requests"] == 16)
            child.send_signal(signal.SIGTERM)
            out, _ = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 1)
        results = [json.loads(line) for line in out.splitlines()]
        self.assertGreaterEqual(len(results), WORKERS)
        self.assertEqual(self.letters(), sorted(r["id"] for r in results))

    def test_signals_hurry_and_the_third_one_kills(self):
        with Server({"*": [OK]}) as server, FullPipe() as pipe:
            child = self.start(server, 1, "--grace", "1h", stdout=pipe.writer, stderr=subprocess.PIPE)
            wait_for(lambda: server.counts()["requests"] == 1)
            for _ in range(2):
                child.send_signal(signal.SIGINT)
                wait_for(lambda: child.poll() is not None or taken_in(child, signal.SIGINT))
            _, said = child.communicate(timeout=60)
            self.assertEqual(child.returncode, 1)
            self.assertIn(b"deliver: line 1: delivered, but its result could not be written\n", said)
        with Server({"*": [{"do": "respond", "status": 422}]}) as server, FullPipe() as pipe:
            self.dead = f"/dev/fd/{pipe.writer}"  # where a dead letter cannot be written, and not given up either
            child = self.start(server, 1, "--grace", "1h", stdout=subprocess.DEVNULL, pass_fds=[pipe.writer])
            wait_for(lambda: server.counts()["requests"] == 1)
            for _ in range(3):
                child.send_signal(signal.SIGINT)
                wait_for(lambda: child.poll() is not None or taken_in(child, signal.SIGINT))
            self.assertEqual(child.wait(timeout=60), -signal.SIGINT)


class Failing(unittest.TestCase):
    def test_a_reader_that_goes_costs_no_event_its_account(self):
        with tempfile.TemporaryDirectory() as folder, Server({"*": [OK]}, "--keep", "0") as server:
            dead = os.path.join(folder, "dead")
            child = subprocess.Popen([program("deliver"), server.url(), "--dead-letters", dead], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            child.stdin.write(lines(event(0)))
            child.stdin.flush()
            self.assertTrue(json.loads(child.stdout.readline())["ok"])
            child.stdout.close()
            child.stdin.write(lines(*map(event, range(1, 200))))
            child.stdin.close()
            said = child.stderr.read().decode().splitlines()
            child.stderr.close()
            child.wait(timeout=60)
            with open(dead) as file:
                letters = {json.loads(line)["id"] for line in file}
        self.assertEqual(child.returncode, 1)
        # The writer's thread says it, the loop's names the lines: in any order.
        self.assertEqual(said.count("deliver: results cannot be written: Broken pipe; reading no further"), 1, said)
        named = {int(m[1]): m[2] is None for line in said if (m := re.fullmatch(r"deliver: line (\d+): (not )?delivered, but its result could not be written", line))}
        self.assertEqual(letters, {f"e{line - 1}" for line, ok in named.items() if not ok})
        self.assertEqual(sorted(named), list(range(2, len(named) + 2)), "every line that was read, but the one whose result was")

    def test_a_closed_stdout_is_an_error_before_anything_is_read_or_sent(self):
        with Server({"*": [OK]}) as server:
            for command in ('exec "$@" >&-', 'exec "$@" 1</dev/null'):
                for words in ([program("deliver"), server.url()], [program("send"), "GET", server.url()]):
                    read, write = os.pipe()
                    os.write(write, lines(event(1)))
                    done = subprocess.run(["sh", "-c", command, "sh", *words], stdin=read, stderr=subprocess.PIPE, timeout=60)
                    self.assertEqual(done.returncode, 2)
                    self.assertTrue(done.stderr.endswith(b": stdout is closed, or open for reading: give it a place, or /dev/null\n"), done.stderr)
                    self.assertEqual(unread(read), len(lines(event(1))))
                    os.close(read), os.close(write)
        self.assertEqual(server.final["requests"], 0)


main()
