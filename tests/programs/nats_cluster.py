# SPDX-License-Identifier: MIT
"""Three nats-servers with JetStream, as child processes, for the tests of programs."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


def server_program():
    """Its path. Ends the test as one that was left out where there is none."""
    found = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/bin")
    if not found:
        print("needs nats-server (Debian: nats-server)")
        sys.exit(77)
    return found


def free_ports(n):
    with contextlib.ExitStack() as all_of_them:
        sockets = [all_of_them.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class Connection:
    """As much of a client as a test needs: one request and its reply."""

    def __init__(self, address, timeout=2):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.socket.sendall(b'CONNECT {"verbose":false,"headers":true}\r\nSUB _INBOX.test 1\r\n')

    def request(self, subject, **body):
        data = json.dumps(body).encode() if body else b""
        self.socket.sendall(b"PUB %s _INBOX.test %d\r\n%s\r\n" % (subject.encode(), len(data), data))
        while True:
            words = self.file.readline().split()
            if not words:
                raise OSError("the server has closed")
            if words[0] == b"PING":
                self.socket.sendall(b"PONG\r\n")
            elif words[0] in (b"MSG", b"HMSG"):
                text = self.file.read(int(words[-1]) + 2)[:-2]
                return json.loads(text) if words[0] == b"MSG" else {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close(), self.socket.close()


class Node:
    """One server. `through`: a command that becomes it, such as `ip netns exec NAME`."""

    def __init__(self, folder, name, host, port, route_port, routes, through=()):
        self.host, self.port, self.through = host, port, through
        self.conf = os.path.join(folder, name + ".conf")
        self.log = os.path.join(folder, name + ".log")
        with open(self.conf, "w") as file:
            json.dump({"server_name": name, "listen": f"{host}:{port}", "log_file": self.log,
                       "jetstream": {"store_dir": os.path.join(folder, name)},
                       "cluster": {"name": "tests", "listen": f"{host}:{route_port}", "routes": routes}}, file)
        self.child = None

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self):
        self.child = subprocess.Popen([*self.through, server_program(), "-c", self.conf], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        if self.child:
            self.child.send_signal(signal.SIGKILL)
            self.child.wait()
            self.child = None

    def ready(self):
        """Whether it has JetStream, and knows a leader of the cluster."""
        with contextlib.suppress(OSError, ValueError):
            with Connection((self.host, self.port)) as c:
                return "error" not in c.request("$JS.API.INFO")
        return False

    def current(self, stream):
        """Whether every copy of the stream is up to date."""
        with contextlib.suppress(OSError, ValueError):
            with Connection((self.host, self.port)) as c:
                cluster = c.request("$JS.API.STREAM.INFO." + stream).get("cluster", {})
                return bool(cluster.get("leader")) and all(r.get("current") for r in cluster.get("replicas", []))
        return False


class Cluster:
    """Three nodes. `hosts` and `through`: where they are, if not all on loopback."""

    def __init__(self, hosts=("127.0.0.1",) * 3, through=((), (), ())):
        self.folder = tempfile.TemporaryDirectory(prefix="again-cluster-")
        ports = free_ports(6)
        routes = [f"nats-route://{host}:{port}" for host, port in zip(hosts, ports[3:])]
        self.nodes = [Node(self.folder.name, f"n{i}", hosts[i], ports[i], ports[3 + i], routes, through[i]) for i in range(3)]

    def place(self, stream):
        return "nats://" + ",".join(n.address for n in self.nodes) + "/" + stream

    def wait(self, holds, seconds=60):
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise AssertionError("the cluster did not get ready in time")
            time.sleep(0.05)

    def __enter__(self):
        try:
            for n in self.nodes:
                n.start()
            self.wait(lambda: all(n.ready() for n in self.nodes))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for n in self.nodes:
            n.kill()
        self.folder.cleanup()
