# SPDX-License-Identifier: MIT
"""Receivers that others wrote, as child processes: npm's standardwebhooks and cloudevents, under node. The first argument of a test is the folder in which
the packages are installed."""
import base64
import fcntl
import http.client
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = sys.argv[1]

HMAC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW_HMAC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
PRIVATE = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="  # RFC 8032 7.1, test 1
PUBLIC = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def install():
    """The packages of the lock file, once for each content of it."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            skip("needs node/npm (Debian: npm)")
    with open(os.path.join(HERE, "package-lock.json"), "rb") as file:
        wanted = file.read()
    with open(os.path.join(BUILD, "installing"), "w", encoding="ascii") as lock:  # two tests share the folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        install_packages(wanted)


def install_packages(wanted):
    done = os.path.join(BUILD, "installed-lock.json")
    if os.path.exists(done):
        with open(done, "rb") as file:
            if file.read() == wanted:
                return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), BUILD)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-timeout=60000"]
    npm = subprocess.run(command, cwd=BUILD, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if npm.returncode:
        print(npm.stdout)
        if any(code in npm.stdout for code in ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "ECONNRESET")):
            skip("the npm registry cannot be reached")
        sys.exit("npm ci failed")
    with open(done, "wb") as file:
        file.write(wanted)


class Receiver:
    def __init__(self, *keys):
        self.configuration = {"secrets": [k for k in keys if k.startswith("whsec_")],
                              "publicKeys": [k for k in keys if k.startswith("whpk_")]}

    def __enter__(self):
        self.child = subprocess.Popen(["node", os.path.join(HERE, "receiver.js"), json.dumps(self.configuration)], cwd=BUILD,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = self.read()["port"]
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.wait(timeout=30)

    def read(self):
        line = self.child.stdout.readline()
        if not line:
            raise OSError("the receiver ended")
        return json.loads(line)

    def repeat(self, request, body=None, **headers):
        """Sends what was received again, with changes: a replay, or a message that was tampered with."""
        sent = {k: v for k, v in request["headers"].items() if k.startswith(("webhook-", "content-type"))}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        content = base64.b64decode(request["body"]) if body is None else body
        connection.request("POST", "/hook", content, {**sent, **{k.replace("_", "-"): v for k, v in headers.items()}})
        status = connection.getresponse().status
        connection.close()
        return status, self.read()
