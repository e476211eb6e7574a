#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`deliver --listen`: events over HTTP. 202 means stored, whatever is killed when; every refused event is named; a client that is slow, large or one too
many costs the others nothing.

    test_listen.py BIN...     exit 77 where deliver was built without Boost.Beast
"""
import contextlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import Run, Service, event, lines, wait_for  # noqa: E402
from recorder import Recorder  # noqa: E402
from test_journal import InFolder, STRACE, TRACED, can_trace  # noqa: E402

TOKEN = "f00dcafe" * 4


class Listening(Service):
    """A `deliver` that listens; `port` from what it says on stderr."""

    def __init__(self, journal, *arguments, listen="0", **more):
        super().__init__("--journal", journal, "--listen", listen, *arguments, stdin=subprocess.DEVNULL, **more)
        self.said = None
        wait_for(lambda: self.find() or self.child.poll() is not None)
        self.port = int(re.search(r":(\d+)/events$", self.said)[1]) if self.said else None

    def __exit__(self, *_):
        if not hasattr(self, "code"):
            self.end(signal.SIGTERM if self.child.poll() is None else None)

    def find(self):
        self.said = next((line for line in self.complaints if line.startswith("deliver: --listen is ")), None)
        return self.said

    @property
    def others(self):
        return [line for line in self.complaints if line != self.said]

    def ask(self, method="POST", path="/events", body=None, kind="application/json", **fields):
        """(status, JSON of the body, header fields)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            return ask(connection, method, path, body, kind, **fields)
        finally:
            connection.close()

    def post(self, body, kind="application/json", **fields):
        status, answer, _ = self.ask("POST", "/events", body, kind, **fields)
        return status, answer

    def raw(self, *parts, wait=20):
        """Sends bytes, and gives all that comes back until the end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as s:
            with contextlib.suppress(OSError):
                for part in parts:
                    s.sendall(part)
            return everything(s)


def everything(s):
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while part := s.recv(65536):
            got += part
    return got


def ask(connection, method="POST", path="/events", body=None, kind="application/json", **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    if kind and method == "POST":
        headers["Content-Type"] = kind
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    content = response.read()
    return response.status, json.loads(content) if content else None, response.headers


class Posting(InFolder):
    def test_events_that_were_posted_are_stored_and_delivered_as_they_were_written(self):
        one = b'{ "id" : "a" ,\t"n": 1.0e+2, "big": 123456789012345678901234567890.10 }'
        ce = b'{"specversion":"1.0","id":"c","source":"/s","type":"t","data":{ "x" :  -0.0 }}'
        batch = (b'{"specversion":"1.0", "id":"d","source":"/s","type":"t"}', b'{"specversion":"1.0","id":"e","source":"/s","type":"t","data":[ 1 ]}')
        with Recorder() as receiver, Listening(self.journal, receiver.url) as service:
            self.assertEqual(service.post(b" " + one + b"\n"), (202, {"stored": 1, "repeated": 0, "ids": ["a"]}))
            self.assertEqual(service.post(b'{"id":"b1"}\r\n\n {"id":"b2"}', "application/x-ndjson")[1]["ids"], ["b1", "b2"])
            self.assertEqual(service.post(ce, "application/cloudevents+json; charset=UTF-8")[1]["ids"], ["c"])
            self.assertEqual(service.post(b"[" + batch[0] + b" ,\n" + batch[1] + b"]", "application/cloudevents-batch+json")[1]["ids"], ["d", "e"])
            binary = service.post(b'{ "y" : 1.50 }', "application/json", ce_specversion="1.0", ce_id="f", ce_source="/s", ce_type="t", CE_Subject="%E2%82%AC%20")
            self.assertEqual(binary, (202, {"stored": 1, "repeated": 0, "ids": ["f"]}))
            wait_for(lambda: len(service.results) == 7)
            self.assertEqual({(r["id"], r["ok"], "line" in r) for r in service.results}, {(i, True, False) for i in ("a", "b1", "b2", "c", "d", "e", "f")})
            self.assertEqual((service.end(signal.SIGTERM), service.others), (0, []))
        sent = {request.headers["Idempotency-Key"].strip('"'): request for request in receiver.requests}
        self.assertEqual({request.body for request in receiver.requests},
                         {one, b'{"id":"b1"}', b'{"id":"b2"}', ce, batch[0], batch[1], b'{ "y" : 1.50 }'})
        self.assertEqual((sent["/s#f"].headers["ce-subject"], sent["/s#f"].headers["Content-Type"]), ("%E2%82%AC%20", "application/json"))
        self.assertEqual(sent["/s#d"].headers["Content-Type"], "application/cloudevents+json")
        for name in os.listdir(self.folder.name):
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o600, name)

    def test_a_repeated_request_changes_nothing_also_for_events_without_an_id_if_it_has_a_key(self):
        with Recorder() as receiver, Listening(self.journal, receiver.url) as service:
            self.assertEqual(service.post('{"id":"a"}')[1], {"stored": 1, "repeated": 0, "ids": ["a"]})
            self.assertEqual(service.post('{"id":"a"}')[1], {"stored": 0, "repeated": 1, "ids": ["a"]})
            two = '{"n":1}\n{"n":1}\n'
            first = service.post(two, "application/x-ndjson", Idempotency_Key='"order-1"')[1]
            again = service.post(two, "application/x-ndjson", Idempotency_Key='"order-1"')[1]
            self.assertEqual((first["stored"], again["stored"], again["repeated"], first["ids"]), (2, 0, 2, again["ids"]))
            self.assertEqual(len({service.post('{"n":1}')[1]["ids"][0] for _ in range(3)}), 3)  # without a key: three events

    def test_each_refused_event_is_named_and_the_others_are_stored(self):
        with Recorder() as receiver, Listening(self.journal, "--max-line", 200, receiver.url) as service:
            given = ['{"id":"a"}', "{", "[]", '{"id":"b"}', '{"specversion":"1.0","id":"c"}', json.dumps({"id": "d", "x": "y" * 200})]
            status, answer = service.post("\n".join(given), "application/x-ndjson")
            self.assertEqual((status, answer["stored"], answer["ids"], [r["index"] for r in answer["refused"]]), (400, 2, ["a", "b"], [1, 2, 4, 5]))
            for refused, why in zip(answer["refused"], ("malformed", "unknown: an event is a JSON object, this is array", "malformed: a CloudEvent needs 'source'",
                                                        "oversized: more than 200 bytes"), strict=True):
                self.assertTrue(refused["reason"].startswith(why), refused)
            status, answer = service.post("[" + json.dumps(event(1)) + ',7,{"id":"x"}]', "application/cloudevents-batch+json")
            self.assertEqual((status, answer["ids"], [(r["index"], r["reason"].split(":")[0]) for r in answer["refused"]]), (400, ["e1"], [(1, "unknown"), (2, "unknown")]))
            for body, kind, fields, why in ((json.dumps(event(1)) + "x", "application/json", {}, "malformed: "),
                                            ('{"id":"1"}', "application/cloudevents+json", {}, "it is no CloudEvent"),
                                            ("x", "application/json", {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/", "ce_type": "t"}, "the data is not JSON"),
                                            ("{}", "application/json", {"ce_specversion": "0.3", "ce_id": "1", "ce_source": "/", "ce_type": "t"}, "must be 1.0"),
                                            ("{}", "application/json", {"ce_specversion": "1.0", "ce_id": "1", "ce_type": "t"}, "'source' must be a URI"),
                                            ("x", None, {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/", "ce_type": "t"}, "data needs a Content-Type")):
                status, answer = service.post(body, kind, **fields)
                self.assertEqual((status, [r["index"] for r in answer["refused"]]), (400, [0]), answer)
                self.assertIn(why, answer["refused"][0]["reason"])
            for body, kind, why in (("", "application/x-ndjson", "there is no event in it"), ("{}", "application/cloudevents-batch+json", "a batch is a JSON array"),
                                    ("[{}", "application/cloudevents-batch+json", "malformed: "), ("[] 1", "application/cloudevents-batch+json", "malformed: ")):
                status, answer = service.post(body, kind)
                self.assertEqual(status, 400, (body, answer))
                self.assertIn(why, answer["error"])
            wait_for(lambda: len(service.results) == 3)
        self.assertEqual(len(receiver.requests), 3)

    def test_a_mode_of_cloudevents_holds_for_what_is_posted(self):
        fields = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "t"}
        for mode, bodies in (("structured", [b'"data":{ "a" : 1 }}']), ("batched", [b'"data":{ "a" : 1 }}]']), ("binary", [b'{ "a" : 1 }'])):
            with Recorder() as receiver, Listening(self.path(mode), "--ce-mode", mode, receiver.url) as service:
                self.assertEqual(service.post('{ "a" : 1 }', **fields)[0], 202)
                self.assertEqual(service.post('{"id":"7"}')[0], 400)
                wait_for(lambda: service.results)
            self.assertTrue(receiver.requests[0].body.endswith(bodies[0]), receiver.requests[0].body)

    def test_a_file_is_read_beside_it_and_stdin_is_not(self):
        file = self.path("in.jsonl")
        with open(file, "wb") as out:
            out.write(lines(event(1)))
        with Recorder() as receiver, Listening(self.journal, "--input", file, receiver.url) as service:
            wait_for(lambda: len(service.results) == 1)
            self.assertEqual(service.post(json.dumps(event(2)))[0], 202)
            wait_for(lambda: len(service.results) == 2)
        with harness.Pipe() as pipe, Recorder() as receiver:
            pipe.write(lines(event(3)))
            with Service("--journal", self.journal, "--listen", "0", receiver.url, stdin=pipe.reader) as service:
                wait_for(lambda: service.complaints)
                self.assertEqual(service.end(signal.SIGTERM), 0)
            self.assertEqual(pipe.rest(), lines(event(3)))


class Bounds(InFolder):
    def test_what_is_no_post_of_events_has_its_status(self):
        with Listening(self.journal, "--grace", 0, "http://127.0.0.1:9/") as service:
            for method, path, kind, body, fields, status in (
                    ("GET", "/events", None, None, {}, 405), ("DELETE", "/events", None, None, {}, 405), ("POST", "/healthz", None, "x", {}, 405),
                    ("POST", "/other", None, "x", {}, 404), ("POST", "/events", "text/plain", "{}", {}, 415), ("POST", "/events", None, "{}", {}, 415),
                    ("POST", "/events", "application/json; charset=latin1", "{}", {}, 415), ("POST", "/events", "application/json", "{}", {"Content_Encoding": "gzip"}, 415),
                    ("POST", "/events", "application/json", "{}", {"Origin": "http://127.0.0.1"}, 403),
                    ("POST", "/events", "application/json", "{}", {"Host": "evil.example.com"}, 421)):
                got, answer, headers = service.ask(method, path, body, kind, **fields)
                self.assertEqual((got, list(answer)), (status, ["error"]), (method, path, kind, answer))
                self.assertEqual(headers.get("Allow"), {"/events": "POST", "/healthz": "GET, HEAD"}.get(path) if status == 405 else None)
            self.assertTrue(service.raw(b"GET / HTTP/3.0\r\n\r\n").startswith(b"HTTP/1.1 400 "))
            self.assertTrue(service.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n").startswith(b"HTTP/1.1 400 "))
            self.assertTrue(service.raw(b"GET /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 "))
            self.assertTrue(service.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").startswith(b"HTTP/1.1 400 "))
            self.assertTrue(service.raw(b"POST /events HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                                        b"0\r\n\r\n").startswith(b"HTTP/1.1 400 "))
            self.assertTrue(service.raw(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 20000).startswith(b"HTTP/1.1 431 "))
        self.assertEqual(self.states(), {})

    def test_the_size_of_a_request_is_bounded_however_it_is_framed(self):
        with Listening(self.journal, "--listen-max", "1000", "--grace", 0, "http://127.0.0.1:9/") as service:
            self.assertEqual(service.post(json.dumps({"id": "a", "x": "y" * 2000}))[0], 413)
            head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            self.assertTrue(service.raw(head + b"Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n").startswith(b"HTTP/1.1 413 "))
            chunks = b"Transfer-Encoding: chunked\r\n\r\n" + (b"190\r\n" + b" " * 400 + b"\r\n") * 5
            self.assertTrue(service.raw(head + chunks).startswith(b"HTTP/1.1 413 "))
            self.assertTrue(service.raw(head + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 100000).startswith(b"HTTP/1.1 4"))
            answer = service.raw(head + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n", b'{"id":"a"}')
            self.assertTrue(answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 "), answer)
            self.assertEqual(service.post("{}\n" * 300, "application/x-ndjson")[1]["stored"], 300)
        with Listening(self.path("more"), "--grace", 0, "http://127.0.0.1:9/") as service:
            self.assertEqual(service.post("{}\n" * 10001, "application/x-ndjson"), (413, {"error": "more than 10000 events"}))
            self.assertEqual(service.post("[" + "1," * 10000 + "1]", "application/cloudevents-batch+json"), (413, {"error": "more than 10000 events"}))

    def test_what_is_being_read_is_bounded_in_all(self):
        with Listening(self.journal, "--listen-max", "260MiB", "--grace", 0, "http://127.0.0.1:9/") as service, contextlib.ExitStack() as held:
            head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (260 << 20)
            for _ in range(2):
                s = held.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=20))
                s.sendall(head)
                self.assertEqual(s.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            answer = service.raw(head)
            self.assertTrue(answer.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 5\r\n" in answer, answer)
            self.assertEqual(service.ask("GET", "/healthz")[0], 200)
            held.close()
            wait_for(lambda: service.post('{"id":"a"}')[0] == 202)

    def test_a_host_of_ours_may_be_named(self):
        with Listening(self.journal, "--allow-host", "Events.example.com", "--grace", 0, "http://127.0.0.1:9/") as service:
            for host, status in (("events.example.com:80", 202), ("localhost", 202), ("[::1]:8090", 202), ("10.0.0.1", 202), ("other.example.com", 421)):
                self.assertEqual(service.post('{"id":"a"}', Host=host)[0], status, host)

    def test_a_client_that_drips_is_told_so_and_holds_up_nobody(self):
        with Recorder() as receiver, Listening(self.journal, "--listen-timeout", "300ms", receiver.url) as service:
            head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
            ends = []

            def drip(beginning):
                with socket.create_connection(("127.0.0.1", service.port), timeout=20) as s:
                    s.settimeout(0.02)
                    s.sendall(beginning)
                    got = b""
                    while True:  # a byte now and then: no single read takes long
                        with contextlib.suppress(TimeoutError):
                            part = s.recv(65536)
                            if not part:
                                break
                            got += part
                        with contextlib.suppress(OSError):
                            s.send(b"x")
                    ends.append(got.split(b"\r\n")[0])

            slow = [threading.Thread(target=drip, args=(beginning,)) for beginning in (head + b"\r\n{", head, b"POST")]
            for thread in slow:
                thread.start()
            for i in range(5):
                self.assertEqual(service.post(json.dumps(event(i)))[0], 202)
            for thread in slow:
                thread.join()
            self.assertEqual(ends, [b"HTTP/1.1 408 Request Timeout"] * 3)
            self.assertEqual(service.raw(), b"")  # one that says nothing is let go

    def test_one_connection_too_many_is_told_so(self):
        with Listening(self.journal, "--listen-connections", 2, "--grace", 0, "http://127.0.0.1:9/") as service:
            held = [http.client.HTTPConnection("127.0.0.1", service.port, timeout=30) for _ in range(2)]
            for connection in held:
                self.assertEqual(ask(connection, "GET", "/healthz")[0], 200)
            status, answer, headers = service.ask("GET", "/healthz")
            self.assertEqual((status, answer, headers["Retry-After"]), (503, {"error": "too many connections"}, "5"))
            self.assertEqual(ask(held[0], body='{"id":"a"}')[0], 202)  # those that were there go on
            held[0].close()
            wait_for(lambda: service.ask("GET", "/healthz")[0] == 200)
            held[1].close()

    def test_without_descriptors_it_waits_for_one(self):
        with Recorder() as receiver, Listening(self.journal, "--parallel", 1, receiver.url) as service:
            self.assertEqual(service.post('{"id":"a"}')[0], 202)
            wait_for(lambda: service.results)
            pid, limit = service.child.pid, resource.RLIMIT_NOFILE
            before = resource.prlimit(pid, limit)
            open_now = len(os.listdir(f"/proc/{pid}/fd"))
            resource.prlimit(pid, limit, (open_now, before[1]))
            late = socket.create_connection(("127.0.0.1", service.port), timeout=20)
            late.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            late.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                late.recv(1)
            resource.prlimit(pid, limit, before)
            late.settimeout(20)
            self.assertIn(b'{"ok":true}', everything(late))
            late.close()


class Access(InFolder):
    def token(self, text=TOKEN, mode=0o600):
        with open(self.path("token"), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.chmod(self.path("token"), mode)
        return self.path("token")

    def test_a_request_needs_the_token_which_is_told_nowhere(self):
        with Recorder(lambda request, n: 422) as receiver, Listening(self.journal, "--listen-token-file", self.token(), "--log", "json", "-v", receiver.url) as service:
            status, answer, headers = service.ask(body='{"id":"a"}')
            self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"))
            for wrong in ("Bearer " + TOKEN[:-1], "Bearer " + TOKEN + "x", "Basic " + TOKEN, TOKEN, "Bearer"):
                self.assertEqual(service.post('{"id":"a"}', Authorization=wrong)[0], 401, wrong)
            self.assertEqual(service.post('{"id":"a"}', Authorization="Bearer " + TOKEN)[0], 202)
            self.assertEqual(service.post('{"id":"b"}', Authorization="bearer " + TOKEN, Host="events.example.com")[0], 202)  # and any host
            self.assertEqual(service.ask("GET", "/healthz")[0], 200)  # which tells nothing
            wait_for(lambda: len(service.results) == 2)
        self.assertEqual(len(receiver.requests), 2)
        told = "\n".join(service.complaints) + json.dumps(service.results) + Run("deliver", "journal", "export", self.journal).out
        self.assertNotIn(TOKEN[:12], told)
        self.assertTrue(all(TOKEN not in str(request.headers) for request in receiver.requests))

    def test_any_address_but_loopback_needs_a_token_and_says_that_it_is_not_encrypted(self):
        refused = Run("deliver", "--journal", self.journal, "--listen", "0.0.0.0:0", "http://127.0.0.1:9/")
        self.assertEqual((refused.code, refused.err), (2, "deliver: --listen: 0.0.0.0 is no loopback address: add --listen-token-file FILE, or leave the address out\n"))
        with Listening(self.journal, "--listen-token-file", self.token(), "--grace", 0, "http://127.0.0.1:9/", listen="0.0.0.0:0") as service:
            self.assertEqual(service.others, ["deliver: --listen: without --listen-cert and --listen-key, token and events travel unencrypted"])
        for where in ("[::1]:0", "localhost:0", "127.0.0.2:0"):
            with Listening(self.journal, "--grace", 0, "http://127.0.0.1:9/", listen=where) as service:
                self.assertIn("deliver: --listen is http://" + where[:-1], service.said)

    def test_tls_with_a_certificate(self):
        certificate, key = self.path("cert.pem"), self.path("key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with Recorder() as receiver, Listening(self.journal, "--listen-cert", certificate, "--listen-key", key, "--listen-timeout", "1s", receiver.url) as service:
            self.assertIn("https://127.0.0.1:", service.said)
            trusted = ssl.create_default_context(cafile=certificate)
            connection = http.client.HTTPSConnection("localhost", service.port, context=trusted, timeout=30)
            for i in range(2):  # on one connection
                self.assertEqual(ask(connection, body=json.dumps(event(i)))[0], 202)
            connection.close()
            self.assertNotIn(b"HTTP/1.1", service.raw(b"POST /events HTTP/1.1\r\n\r\n"))
            with socket.create_connection(("127.0.0.1", service.port), timeout=20) as silent:  # a handshake that never ends
                self.assertEqual(everything(silent), b"")
            wait_for(lambda: len(service.results) == 2)
        for words, sentence in ((("--listen-cert", certificate), "--listen-cert and --listen-key: each needs the other"),
                                (("--listen-cert", key, "--listen-key", key), "--listen-cert: "), (("--listen-cert", certificate, "--listen-key", certificate), "--listen-key: "),
                                (("--listen-cert", self.path("none"), "--listen-key", key), "--listen-cert: ")):
            run = Run("deliver", "--journal", self.journal, "--listen", "0", *words, "http://127.0.0.1:9/")
            self.assertEqual((run.code, run.out, run.err.count("\n")), (2, "", 1))
            self.assertIn(sentence, run.err)

    def test_what_contradicts_itself_is_one_sentence(self):
        short = self.token("short")
        self.assertIn("a token has at least 16 characters", self.refused("--journal", self.journal, "--listen", "0", "--listen-token-file", short))
        spaced = self.token("a token with spaces in it")
        self.assertIn("one line of visible ASCII", self.refused("--journal", self.journal, "--listen", "0", "--listen-token-file", spaced))
        self.assertIn("a response of 202 means that events are kept, which needs --journal FILE", self.refused("--listen", "0"))
        self.assertIn("needs --listen [ADDRESS:]PORT", self.refused("--journal", self.journal, "--listen-token-file", short))
        self.assertIn("leave --replay out", self.refused("--journal", self.journal, "--listen", "0", "--replay"))
        self.assertIn("No such file or directory", self.refused("--journal", self.journal, "--listen", "0", "--listen-token-file", self.path("none")))
        with Listening(self.journal, "--grace", 0, "http://127.0.0.1:9/") as service:
            self.assertIn("Address already in use", self.refused("--journal", self.path("second"), "--listen", service.port))

    def refused(self, *words):
        run = Run("deliver", *words, "http://127.0.0.1:9/")
        self.assertEqual((run.code, run.out, run.err.count("\n")), (2, "", 1), run.err)
        self.assertNotIn("spaces in it", run.err)
        return run.err


class Ending(InFolder):
    def test_a_journal_that_cannot_store_is_503_with_retry_after_and_takes_events_again_when_it_can(self):
        with Recorder() as receiver, Listening(self.journal, receiver.url) as service:
            self.assertEqual((service.post('{"id":"a"}')[0], service.ask("GET", "/healthz")[0]), (202, 200))
            wait_for(lambda: service.results)
            pid, limit = service.child.pid, resource.RLIMIT_FSIZE
            before = resource.prlimit(pid, limit)
            resource.prlimit(pid, limit, (1, before[1]))
            status, answer, headers = service.ask(body='{"id":"b"}')
            self.assertEqual((status, headers["Retry-After"], list(answer)), (503, "5", ["error"]))
            self.assertEqual(service.ask("GET", "/healthz")[0], 503)
            self.assertNotIn(self.folder.name, json.dumps(answer))  # which files it has is not for a client
            wait_for(lambda: [line for line in service.others if "deliver: journal: " in line])
            resource.prlimit(pid, limit, before)
            self.assertEqual(service.post('{"id":"b"}')[1], {"stored": 1, "repeated": 0, "ids": ["b"]})
            self.assertEqual(service.ask("GET", "/healthz")[0], 200)
            wait_for(lambda: len(service.results) == 2)
            self.assertEqual(service.end(signal.SIGTERM), 0)

    def test_a_journal_that_is_removed_is_unhealthy(self):
        with Listening(self.journal, "--grace", 0, "http://127.0.0.1:9/") as service:
            os.remove(self.journal)
            self.assertEqual(service.ask("GET", "/healthz")[0], 503)
            self.assertEqual(service.post('{"id":"b"}')[0], 503)
            service.end(signal.SIGTERM)

    def test_a_signal_ends_the_taking_and_what_was_stored_is_finished(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        with Recorder(lambda request, n: 200 if go_on.wait(60) else 500) as receiver, Listening(self.journal, receiver.url) as service:
            idle = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
            self.assertEqual(ask(idle, body='{"id":"a"}')[0], 202)
            half = socket.create_connection(("127.0.0.1", service.port), timeout=20)
            half.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
            wait_for(lambda: receiver.requests)
            service.child.send_signal(signal.SIGTERM)
            self.assertEqual(everything(half), b"")  # it was not whole: it is not stored, and nothing else was said
            with self.assertRaises(OSError):
                wait_for(lambda: socket.create_connection(("127.0.0.1", service.port), timeout=20).close())
            go_on.set()
            self.assertEqual(service.end(), 0)
            self.assertEqual([(r["id"], r["ok"]) for r in service.results], [("a", True)])
            half.close(), idle.close()
        self.assertEqual(self.states(), {"done": 1})


class Killed(InFolder):
    """Clients post events one after another, and `deliver` is killed meanwhile."""

    POSTS, CLIENTS, EVERY = 30, 3, int(os.environ.get("AGAIN_KILL_EVERY", "0"))

    def posting(self, port, acknowledged, ids):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            for i in ids:
                two = lines(event(f"{i}a"), event(f"{i}b"))
                if ask(connection, body=two, kind="application/x-ndjson")[0] == 202:
                    acknowledged.extend((f"/test#e{i}a", f"/test#e{i}b"))
        connection.close()

    def run_with(self, journal, receiver, through):
        """The keys that were acknowledged until the end, whoever has made it."""
        acknowledged = []
        with Listening(journal, receiver.url, through=through, env=TRACED) as service:
            if service.port is None:
                return acknowledged
            clients = [threading.Thread(target=self.posting, args=(service.port, acknowledged, range(c, self.POSTS, self.CLIENTS))) for c in range(self.CLIENTS)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            with open(f"/proc/{service.child.pid}/task/{service.child.pid}/children", encoding="ascii") as children:
                for pid in children.read().split():  # it lives: then it is killed now
                    os.kill(int(pid), signal.SIGKILL)
            service.end()
        return acknowledged

    def killed_at(self, call, n):
        journal = self.path(f"{call}-{n}.db")
        with Recorder() as receiver:
            through = (*STRACE, "-o", os.devnull, "-e", "trace=" + call, "-e", f"inject={call}:signal=KILL:when={n}")
            acknowledged = self.run_with(journal, receiver, through)
            rest = Run("deliver", "--journal", journal, receiver.url)
            self.assertEqual((rest.code, rest.err), (0, ""), (call, n))
            sent = {request.headers["Idempotency-Key"].strip('"') for request in receiver.requests}
        with contextlib.closing(sqlite3.connect(journal)) as db:
            kept = {key.decode(): state for key, state in db.execute("SELECT idempotency_key, state FROM events")}
        self.assertEqual(set(kept.values()) - {2}, set(), "an event without a final record")
        self.assertEqual(set(acknowledged) - set(kept), set(), f"killed at {call} {n}: an event with a 202 is lost")
        self.assertEqual(set(kept), sent)
        for suffix in ("", "-wal", "-shm", ".lock"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(journal + suffix)
        return len(acknowledged)

    def test_killed_at_its_writes_every_202_is_in_the_journal(self):
        if not can_trace():
            self.skipTest("strace cannot trace here: install it, and allow ptrace")
        # What the store and the responses write, from the first to the last: more of a call than these come in no run.
        step = self.EVERY or 20
        points = [(call, n) for call, most in (("pwrite64", 200), ("fdatasync", 35), ("sendmsg", 60), ("write", 40)) for n in range(1 + (step > 1) * 3, most, step)]
        counts = [self.killed_at(call, n) for call, n in points]
        print(f"\n{len(points)} runs: {counts} events of {2 * self.POSTS} acknowledged", file=sys.stderr)
        self.assertTrue(any(0 < n < 2 * self.POSTS for n in counts))


if __name__ == "__main__":
    harness.FOLDERS.extend(sys.argv[1:])
    if "built without Boost.Beast" in Run("deliver", "--listen", "0", "http://127.0.0.1:9/").err:
        print("skipped: deliver was built without Boost.Beast")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=1)
