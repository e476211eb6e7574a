# SPDX-License-Identifier: MIT
"""What the tests of the programs share: the misbehaving server as a child process, and runs of a program.

Each test file is run as `test_X.py BIN...`: folders in which the built programs are looked for.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

FOLDERS = []


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


def main():
    FOLDERS.extend(sys.argv[1:])
    unittest.main(argv=sys.argv[:1], verbosity=1)
