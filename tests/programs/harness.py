# SPDX-License-Identifier: MIT
"""What the tests of the programs share: the misbehaving server as a child process, and runs of a program.

Each test file is run as `test_X.py BIN...`: folders in which the built programs are looked for.
"""
import array
import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
import signal
import termios
import threading
import time
import unittest

FOLDERS = []
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup the programs would inherit that it is ignored, and respect it


def program(name):
    for folder in FOLDERS:
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    sys.exit(f"no program {name} in {FOLDERS}")


class Server:
    """The misbehaving server with a script; `url(path)`, `counts()`, and as a context manager `final` afterwards."""

    def __init__(self, script=None, *arguments):
        self.script, self.arguments = script, arguments

    def __enter__(self):
        words = [program("misbehave")]
        self.file = None
        if self.script is not None:
            self.file = tempfile.NamedTemporaryFile("w", suffix=".json")
            json.dump(self.script, self.file)
            self.file.flush()
            words.append(self.file.name)
        self.child = subprocess.Popen(words + list(self.arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.child.stdout.readline()
        if not line:
            raise OSError("the server did not start")
        where = json.loads(line)
        self.base, self.port, self.authority = where["url"].rstrip("/"), where["port"], where["authority"]
        return self

    def url(self, path="/"):
        return self.base + path

    def counts(self, command="counts"):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def __exit__(self, *_):
        self.child.stdin.close()
        self.final = json.loads(self.child.stdout.readline() or "null")
        self.child.stdout.close()
        self.child.wait(timeout=20)
        if self.file:
            self.file.close()


def event(number, **more):
    return {"specversion": "1.0", "id": f"e{number}", "source": "/test", "type": "test.event", "data": {"n": number}, **more}


def lines(*events):
    return "".join(json.dumps(e) + "\n" for e in events).encode()


def unread(pipe):
    """Bytes that are still in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def taken_in(child, what):
    """The process has seen the signal that it was sent: another one would not be taken for the same."""
    with open(f"/proc/{child.pid}/status") as file:
        pending = next(int(line.split()[1], 16) for line in file if line.startswith("ShdPnd"))
    return not pending >> (what - 1) & 1


def wait_for(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.01)


class Run:
    """A finished run: `code`, `out` and `err` as text, `lines` as JSON."""

    def __init__(self, name, *arguments, stdin=None, timeout=60):
        done = subprocess.run([program(name), *map(str, arguments)], input=stdin if stdin is not None else b"", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout)
        self.code, self.raw = done.returncode, done.stdout
        self.out, self.err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def json(self):
        (only,) = self.lines
        return only


class Pipe:
    """A pipe whose two ends stay open here, so that what nobody has read can be seen."""

    def __enter__(self):
        self.reader, self.writer = os.pipe()
        return self

    def write(self, text):
        os.write(self.writer, text)

    def rest(self):
        return os.read(self.reader, unread(self.reader)) if unread(self.reader) else b""

    def __exit__(self, *_):
        os.close(self.reader), os.close(self.writer)


class Service:
    """A running `deliver` that reads from a pipe; `ports` from what it says on stderr. `through`: a command that becomes the program."""

    def __init__(self, *arguments, stdin=subprocess.PIPE, through=(), pass_fds=(), env=None):
        self.child = subprocess.Popen([*through, program("deliver"), *map(str, arguments)], stdin=stdin, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, pass_fds=pass_fds, env=env)
        self.ports, self.complaints, self.results = {}, [], []
        self.threads = [threading.Thread(target=self.hear), threading.Thread(target=self.listen)]
        for t in self.threads:
            t.start()
        wanted = sum(a in ("--metrics", "--export", "--status") for a in arguments)
        wait_for(lambda: len(self.ports) == wanted or self.child.poll() is not None)

    def hear(self):
        for line in self.child.stderr:
            text = line.decode().rstrip("\n")
            found = re.fullmatch(r"deliver: --(metrics|export|status) is (http://\S+)", text)
            if found:
                self.ports[found[1]] = found[2]
            else:
                self.complaints.append(text)

    def listen(self):
        for line in self.child.stdout:
            self.results.append(json.loads(line))

    def give(self, *events):
        self.child.stdin.write(lines(*events))
        self.child.stdin.flush()

    def end(self, by=None):
        if by is not None:
            self.child.send_signal(by)
        elif self.child.stdin:
            self.child.stdin.close()
        self.code = self.child.wait(timeout=60)
        for t in self.threads:
            t.join()
        with contextlib.suppress(BrokenPipeError):
            if self.child.stdin:
                self.child.stdin.close()
        self.child.stdout.close(), self.child.stderr.close()
        return self.code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.end()


def curl(url, *arguments):
    """(status, content type, body)"""
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code} %{content_type}", *arguments, url], stdout=subprocess.PIPE, timeout=20, check=True)
    body, _, last = done.stdout.decode().rpartition("\n")
    status, _, kind = last.partition(" ")
    return int(status), kind, body


def samples(text):
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if not line.startswith("#")}


def main():
    FOLDERS.extend(sys.argv[1:])
    unittest.main(argv=sys.argv[:1], verbosity=1)
