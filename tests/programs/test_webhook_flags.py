#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The flags of `deliver` for webhooks: signatures, secrets that appear nowhere, the schedule of days, content modes, filters."""
import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Pipe, Run, Service, curl, event, lines, main, program, wait_for  # noqa: E402
from recorder import Recorder  # noqa: E402

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
PRIVATE = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
FAST = ("--base", "1ms", "--cap", "1ms")


def signature(secret, request):
    """What Standard Webhooks 1.0 has as the HMAC of a request."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


class InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def endpoints(self, *those):
        return ("--endpoints", self.write("endpoints.json", json.dumps(those)))


class Signing(InFolder):
    def test_every_attempt_is_signed_and_has_the_same_id(self):
        secrets = self.write("secrets", f"{SECRET}\n\n{OLD}\n{PRIVATE}\n")
        with Recorder(lambda request, n: 503 if n == 1 else 200) as receiver:
            run = Run("deliver", *FAST, "--sign", secrets, receiver.url, stdin=lines(event(1)))
            self.assertEqual((run.code, run.err, run.json["attempts"]), (0, "", 2))
        first, second = receiver.requests
        for request in receiver.requests:
            new, old, ed25519 = request.headers["webhook-signature"].split(" ")
            self.assertEqual((new, old, ed25519[:4]), (signature(SECRET, request), signature(OLD, request), "v1a,"))
            self.assertEqual(request.headers["webhook-id"], "/test#e1")
        self.assertEqual(first.body, second.body)

    def test_the_timestamp_is_that_of_the_attempt(self):
        with Recorder(lambda request, n: 503 if n < 4 else 200) as receiver:  # in pretend time: the waits pass at once
            Run("deliver", "--no-wait", "--base", "2s", "--jitter", "none", "--sign", self.write("s", SECRET), receiver.url, stdin=lines(event(1)))
        stamps = [int(request.headers["webhook-timestamp"]) for request in receiver.requests]
        self.assertEqual([b - a for a, b in zip(stamps, stamps[1:])], [2, 4, 8])
        for request in receiver.requests:
            self.assertEqual(request.headers["webhook-signature"], signature(SECRET, request))

    def test_the_bytes_that_were_read_are_signed_and_sent(self):
        given = (b'{ "id" : "a" ,\t"n": 1.0e+2, "big": 123456789012345678901234567890.10 }', b'{"id":"b","t":"\\u00e4\\/\xc3\xa4", "t" : []}',
                 b'{"specversion":"1.0","id":"c","source":"https://example.com/a.b","type":"t","data":{ "x" :  -0.0 }}')
        with Recorder() as receiver:
            run = Run("deliver", "--sign", self.write("s", SECRET), receiver.url, stdin=b"".join(line + b" \r\n" for line in given))
            self.assertEqual(run.code, 0, run.err)
        self.assertEqual({request.body for request in receiver.requests}, set(given))
        for request in receiver.requests:
            self.assertEqual(request.headers["webhook-signature"], signature(SECRET, request))

    def test_an_id_that_may_not_be_one_becomes_its_hash_in_every_run(self):
        with Recorder() as receiver:
            for _ in range(2):
                Run("deliver", "--sign", self.write("s", SECRET), receiver.url, stdin=lines(event(1, source="https://example.com/a.b")))
        one, two = (request.headers["webhook-id"] for request in receiver.requests)
        self.assertEqual(one, two)
        self.assertRegex(one, "^[0-9a-f]{32}$")

    def test_each_endpoint_may_sign_with_secrets_of_its_own(self):
        with Recorder() as one, Recorder() as two, Recorder() as three:
            file = self.endpoints({"url": one.url, "sign": self.write("one", SECRET)}, {"url": two.url, "sign-env": "OTHER_SECRET"}, {"url": three.url})
            done = subprocess.run([program("deliver"), "--to", "all", *file], input=lines(event(1)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env={**os.environ, "OTHER_SECRET": OLD}, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
        for receiver, secret in ((one, SECRET), (two, OLD)):
            (request,) = receiver.requests
            self.assertEqual(request.headers["webhook-signature"], signature(secret, request))
        self.assertNotIn("webhook-signature", three.requests[0].headers)

    def test_a_secret_file_is_read_once_so_that_it_may_be_a_pipe(self):
        with Recorder() as one, Recorder() as two:
            reader, writer = os.pipe()
            os.write(writer, SECRET.encode())
            os.close(writer)
            done = subprocess.run([program("deliver"), "--to", "all", "--sign", f"/dev/fd/{reader}", one.url, two.url], input=lines(event(1)),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(reader,), timeout=60)
            os.close(reader)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
        for receiver in (one, two):
            self.assertEqual(receiver.requests[0].headers["webhook-signature"], signature(SECRET, receiver.requests[0]))

    def test_a_file_that_others_can_read_is_used_and_told(self):
        with Recorder() as receiver:
            for mode, verb in ((0o644, "read"), (0o602, "change")):
                file = self.write("public", SECRET, mode)
                run = Run("deliver", "--sign", file, receiver.url, stdin=lines(event(1)))
                self.assertEqual((run.code, run.err), (0, f"deliver: --sign: every user of this machine can {verb} {file}: chmod 600 it\n"))

    def test_what_cannot_sign_is_one_sentence_without_a_part_of_the_secret(self):
        half = self.write("half", SECRET[:-2])
        cases = ((("--sign", SECRET), "this is a secret, which others can read here"), (("--sign=" + PRIVATE,), "this is a secret"),
                 (("--sign-env", OLD), "this is a secret"), (self.endpoints({"url": "http://127.0.0.1:9/", "sign": SECRET}), "this is a secret"),
                 (("--sign", self.path("none")), "No such file or directory"), (("--sign", half), "after whsec_ comes a secret of 24 to 64 bytes"),
                 (("--sign", self.write("empty", "\n")), "no key in it"), (("--sign-env", "NOT_SET_HERE"), "is not set"), (("--sign", ""), "the name is empty"),
                 (("--sign", half, "--no-key"), "--no-key: the id of a signed webhook is made of the key"),
                 (("--sign", half, "-H", "Webhook-Id: 1"), "-H: --sign sets the field webhook-id; leave it out"))
        for words, sentence in cases:
            run = Run("deliver", *words, "http://127.0.0.1:9/", stdin=lines(event(1)))
            self.assertEqual((run.code, run.out), (2, ""), words)
            self.assertIn(sentence, run.err)
            self.assertEqual(run.err.count("\n"), 1)
            for secret in (SECRET, PRIVATE, OLD):
                self.assertNotIn(secret[6:20], run.err)


class Secrets(InFolder):
    def test_a_secret_appears_in_no_output_log_journal_dead_letter_or_page(self):
        secrets = self.write("secrets", f"{SECRET}\n{PRIVATE}\n")
        journal, letters = self.path("events.db"), self.path("dead.jsonl")
        with Recorder(lambda request, n: 503 if n == 1 else 422) as receiver:
            with Service("--journal", journal, "--sign", secrets, "--dead-letters", letters, "--log", "json", "--log-keys", "-v", "--metrics", "0", "--export",
                         "0", "--attempts", 2, *FAST, receiver.url) as service:
                service.give(event(1))
                wait_for(lambda: service.results)
                pages = [curl(service.ports["metrics"])[2], curl(service.ports["export"])[2]]
                files = [self.path(name) for name in os.listdir(self.folder.name) if name != "secrets"]
                live = [pathlib.Path(name).read_bytes() for name in files]
                service.end()
            self.assertEqual(len(receiver.requests), 2)
        told = "\n".join(service.complaints) + json.dumps(service.results)
        dump = [Run("deliver", "journal", command, journal, *ids).out for command, ids in (("export", ()), ("list", ()), ("stats", ()), ("show", ("e1",)))]
        with contextlib.closing(sqlite3.connect(journal)) as db:
            dump.append("\n".join(db.iterdump()))
        self.assertTrue(all(dump) and all(pages) and "signature" not in told)
        with open(letters, encoding="utf-8") as file:
            everything = "\n".join([told, *pages, *dump, file.read(), *(content.decode(errors="replace") for content in live)])
        self.assertIn("/test#e1", everything)
        for secret in (SECRET, PRIVATE):
            text = secret.partition("_")[2]
            for form in (text[:12], text[-12:], base64.b64decode(text).hex(), base64.b64decode(text)[:8].decode(errors="replace")):
                self.assertNotIn(form, everything)


class Schedule(InFolder):
    def test_the_schedule_of_days_is_that_of_the_journal_and_each_delivery_is_one_attempt(self):
        journal = self.path("events.db")
        with Recorder(lambda request, n: 500) as receiver:
            run = Run("deliver", "--journal", journal, "--schedule", "standard-webhooks", "--short-wait", 0, receiver.url, stdin=lines(event(1)))
            self.assertEqual((run.code, run.out, len(receiver.requests)), (0, "", 1))
            wait = int(run.err.rsplit(" ", 2)[1])
            self.assertIn(wait, range(4, 7))  # 5 s and a tenth of jitter
            Run("deliver", "journal", "retry", journal, "e1")
            again = Run("deliver", "--journal", journal, "--schedule", "standard-webhooks", receiver.url)
            self.assertIn(int(again.err.rsplit(" ", 2)[1]), range(4 * 60 + 29, 5 * 60 + 31))

    def test_gone_disables_the_endpoint_an_unknown_format_is_the_end_and_a_redirect_is_not(self):
        for status, ended in ((410, False), (415, True), (301, False), (404, False)):
            with Recorder(lambda request, n, status=status: status) as receiver:
                run = Run("deliver", "--journal", self.path(f"{status}.db"), "--schedule", "standard-webhooks", "--short-wait", 0, receiver.url,
                          stdin=lines(event(1)))
            self.assertEqual([r["reason"] for r in run.lines], ["permanent"] if ended else [], status)
            self.assertEqual(len(receiver.requests), 1)

    def test_gone_and_an_unknown_format_are_not_sent_again_without_the_schedule(self):
        for status, reason in ((410, "endpoint_disabled"), (415, "permanent")):
            with Recorder(lambda request, n, status=status: status) as receiver:
                run = Run("deliver", *FAST, receiver.url, stdin=lines(event(1)))
            self.assertEqual((run.json["reason"], len(receiver.requests)), (reason, 1))

    def test_attempts_and_rules_that_are_given_outrank_the_schedule(self):
        with Recorder(lambda request, n: 404) as receiver:
            Run("deliver", "--attempts", 3, *FAST, "--journal", self.path("a.db"), "--schedule", "standard-webhooks", "--short-wait", 0, receiver.url,
                stdin=lines(event(1)))
            self.assertEqual(len(receiver.requests), 3)
            run = Run("deliver", "--rules", "rfc9110", "--journal", self.path("b.db"), "--schedule", "standard-webhooks", receiver.url, stdin=lines(event(1)))
            self.assertEqual((run.json["reason"], len(receiver.requests)), ("permanent", 4))

    def test_it_is_explained(self):
        run = Run("deliver", "--explain", "--journal", "unused.db", "--schedule", "standard-webhooks")
        self.assertEqual(run.code, 0, run.err)
        self.assertIn("at most 1 send and 20 s", run.out)
        self.assertIn("attempt 10  after 21.6 h ... 26.4 h", run.out)
        self.assertFalse(os.path.exists("unused.db"))

    def test_it_needs_a_journal_and_bears_no_other_waits(self):
        for words, sentence in ((("--schedule", "standard-webhooks"), "its waits are hours and days, which a journal alone survives: add --journal FILE"),
                                (("--schedule", "weekly"), "'weekly' is not standard-webhooks"),
                                (("--journal", self.path("j"), "--schedule", "standard-webhooks", "--redeliver-for", "1h"),
                                 "has waits of its own; leave --redeliver-... out")):
            run = Run("deliver", *words, "http://127.0.0.1:9/")
            self.assertEqual((run.code, run.out), (2, ""))
            self.assertIn(sentence, run.err)


CLOUD_EVENT = (b'{"specversion":"1.0","id":"1","source":"/orders","type":"com.example.made","subject":"Euro \\u20ac 100%","count":-5,"urgent":true,'
               b'"none":null,"data": { "a" : [1, 2.50, 1e400] } ,"time":"2018-04-05T17:31:00Z"}')


class Modes(InFolder):
    def sent(self, given, *options, code=0):
        with Recorder() as receiver:
            self.run_ = Run("deliver", *options, receiver.url, stdin=given)
            self.assertEqual(self.run_.code, code, self.run_.err)
        return receiver.requests

    def test_structured_is_the_line_as_it_was_read(self):
        (request,) = self.sent(CLOUD_EVENT, "--ce-mode", "structured")
        self.assertEqual((request.body, request.headers["Content-Type"]), (CLOUD_EVENT, "application/cloudevents+json"))

    def test_a_batch_holds_one_event_as_it_was_read(self):
        (request,) = self.sent(CLOUD_EVENT, "--ce-mode", "batched")
        self.assertEqual((request.body, request.headers["Content-Type"]), (b"[" + CLOUD_EVENT + b"]", "application/cloudevents-batch+json"))

    def test_binary_has_the_attributes_in_fields_and_the_bytes_of_the_data_as_its_body(self):
        (request,) = self.sent(CLOUD_EVENT, "--ce-mode", "binary", "--sign", self.write("s", SECRET))
        self.assertEqual(request.body, b'{ "a" : [1, 2.50, 1e400] }')
        fields = {name.lower(): value for name, value in request.headers.items() if name.lower().startswith(("ce-", "content-type", "idempotency"))}
        self.assertEqual(fields, {"content-type": "application/json", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/orders",
                                  "ce-type": "com.example.made", "ce-subject": "Euro%20%E2%82%AC%20100%25", "ce-count": "-5", "ce-urgent": "true",
                                  "ce-time": "2018-04-05T17:31:00Z", "idempotency-key": '"/orders#1"'})
        self.assertEqual(request.headers["webhook-signature"], signature(SECRET, request))

    def test_data_of_other_types_is_text_or_bytes(self):
        start = '{"specversion":"1.0","id":"1","source":"/o","type":"t",'
        for rest, body, kind in (('"datacontenttype":"text/plain","data":"h\\u00e4llo\\n"}', "h\u00e4llo\n".encode(), "text/plain"),
                                 ('"data":"a \\"text\\""}', b'"a \\"text\\""', "application/json"),
                                 ('"datacontenttype":"image/png","data_base64":"AAEC/w=="}', b"\0\1\2\xff", "image/png"), ('"data":null}', b"", None),
                                 ('"data": -0.0 }', b"-0.0", "application/json")):
            (request,) = self.sent((start + rest).encode(), "--ce-mode", "binary")
            self.assertEqual((request.body, request.headers["Content-Type"]), (body, kind), rest)

    def test_what_has_no_binary_mode_is_refused_with_its_reason(self):
        start = '{"specversion":"1.0","id":"1","source":"/o","type":"t",'
        for rest, why in (('"count":1.5}', "the attribute 'count' is no integer of 32 bits"), ('"subject":7}', "the attribute 'subject' is no string"),
                          ('"x":{}}', "the attribute 'x' is an object or a list"), ('"BAD":"x"}', "an attribute's name consists of the letters a to z and digits"),
                          ('"data":1,"data_base64":"AA=="}', "it has both 'data' and 'data_base64'"), ('"data_base64":"A"}', "its 'data_base64' is no base64"),
                          ('"datacontenttype":"text/plain","data":1}', "its data is no string"), ('"a":"1","a":"2"}', "'a' is there twice"),
                          ('"a":"\\u0007"}', "the attribute 'a' contains a character that CloudEvents do not allow")):
            self.assertEqual(self.sent((start + rest).encode(), "--ce-mode", "binary", code=1), [])
            self.assertIn(f"line 1: not delivered: malformed: {why}", self.run_.err)

    def test_with_a_mode_every_event_is_a_cloudevent(self):
        for mode in ("structured", "binary", "batched"):
            self.assertEqual(self.sent(b'{"id":"1"}', "--ce-mode", mode, code=1), [])
            self.assertIn(f"unknown: it is no CloudEvent (no 'specversion'), and --ce-mode {mode} sends no other event", self.run_.err)

    def test_a_mode_is_kept_by_journal_and_dead_letter(self):
        letters = self.path("dead.jsonl")
        with Recorder(lambda request, n: 422 if n == 1 else 200) as receiver:
            Run("deliver", "--journal", self.path("j"), "--dead-letters", letters, "--ce-mode", "binary", receiver.url, stdin=CLOUD_EVENT)
            Run("deliver", "--replay", "--input", letters, receiver.url)
        first, again = receiver.requests
        self.assertEqual((first.body, first.headers["ce-subject"], first.headers["Content-Type"]),
                         (again.body, again.headers["ce-subject"], again.headers["Content-Type"]))

    def test_a_content_type_of_ones_own_contradicts_a_mode(self):
        run = Run("deliver", "--ce-mode", "binary", "-H", "Content-Type: text/plain", "http://127.0.0.1:9/")
        self.assertEqual((run.code, run.err), (2, "deliver: -H: --ce-mode sets the Content-Type; leave one of the two out\n"))
        self.assertIn("there are: binary, structured, batched", Run("deliver", "--ce-mode", "batch", "http://127.0.0.1:9/").err)


class Filters(InFolder):
    def test_an_event_goes_to_each_endpoint_whose_filter_takes_it(self):
        given = lines(event(1, type="order.made"), event(2, type="order.gone"), event(3, type="user.made", source="/eu/1"))
        for mode in ((), ("--ce-mode", "binary"), ("--ce-mode", "batched")):
            with Recorder() as made, Recorder() as eu, Recorder() as orders:
                file = self.endpoints({"url": made.url, "filter": {"type": {"suffix": ".made"}}},
                                      {"url": eu.url, "filter": {"source": {"prefix": "/eu/"}, "type": ["user.made", "user.gone"]}},
                                      {"url": orders.url, "filter": {"type": {"prefix": "order.", "not": "order.gone"}}})
                run = Run("deliver", "--to", "all", *mode, *file, stdin=given)
                self.assertEqual(run.code, 1)
                keys = [sorted(r.headers["Idempotency-Key"] for r in receiver.requests) for receiver in (made, eu, orders)]
                self.assertEqual(keys, [['"/eu/1#e3"', '"/test#e1"'], ['"/eu/1#e3"'], ['"/test#e1"']])
                results = {r["id"]: r for r in run.lines}
                self.assertEqual([results[f"e{i}"]["ok"] for i in (1, 2, 3)], [True, False, True])
                self.assertEqual(len(results["e3"]["endpoints"]), 2)

    def test_an_event_that_no_filter_takes_has_a_result_and_a_dead_letter_that_say_so(self):
        with Recorder() as receiver:
            file = self.endpoints({"url": receiver.url, "filter": {"type": "order"}})
            for journal in ((), ("--journal", self.path("events.db"))):
                letters = self.path("dead" + str(len(journal)))
                run = Run("deliver", "--to", "all", "--dead-letters", letters, *journal, *file, stdin=lines(event(1)))
                self.assertEqual((run.code, run.err), (1, ""))
                self.assertEqual({k: run.json[k] for k in ("id", "ok", "error", "detail", "reason", "attempts", "dead_letter")},
                                 {"id": "e1", "ok": False, "error": "unmatched", "detail": "no endpoint's filter takes the event", "reason": "permanent",
                                  "attempts": 0, "dead_letter": "written"})
                with open(letters, encoding="utf-8") as content:
                    self.assertEqual(json.load(content)["id"], "e1")
            self.assertEqual(receiver.requests, [])
        self.assertIn("no endpoint's filter takes the event", Run("deliver", "journal", "list", self.path("events.db")).out)

    def test_other_events_are_asked_for_their_members_also_with_numbers_of_any_size(self):
        with Recorder() as receiver:
            file = self.endpoints({"url": receiver.url, "filter": {"kind": "a", "n": {"prefix": "1234"}}})
            run = Run("deliver", "--to", "all", *file, stdin=b'{"n": 123456789012345678901234567890 ,"kind":"a"}\n')
            self.assertEqual((run.code, len(receiver.requests)), (0, 1))

    def test_what_is_no_filter_is_one_sentence(self):
        for wrong, sentence in (("type", "'filter' is an object, such as"), ({}, "'filter' is empty"), ({"type": 1}, "'type' is compared with a text"),
                                ({"type": {"regex": "x"}}, "'regex': write exact, prefix or suffix with a text, or not"), ({"type": []}, "the list for 'type' is empty"),
                                ({"type": ""}, "the value to compare with is empty"), ({"Type": "x"}, "an attribute's name consists of the letters a to z and digits")):
            run = Run("deliver", "--to", "all", *self.endpoints({"url": "http://127.0.0.1:9/", "filter": wrong}))
            self.assertEqual(run.code, 2)
            self.assertIn(sentence, run.err)
        run = Run("deliver", *self.endpoints({"url": "http://127.0.0.1:9/", "filter": {"type": "x"}}))
        self.assertEqual((run.code, run.err), (2, "deliver: --endpoints: a filter needs --to all: an event goes to each endpoint whose filter takes it\n"))


class Permission(InFolder):
    @staticmethod
    def consenting(rate=None, origin="events.example.com"):
        fields = {"WebHook-Allowed-Origin": origin, **({"WebHook-Allowed-Rate": rate} if rate else {})}
        return Recorder(lambda request, n: (200, fields) if request.method == "OPTIONS" else 200)

    ASK = ("--ce-permission", "events.example.com")

    def test_an_endpoint_is_asked_before_its_first_event_and_each_event_names_the_sender(self):
        with self.consenting() as receiver:
            run = Run("deliver", *self.ASK, "--ce-permission-rate", 6000, "-H", "X-Ours: 1", receiver.base + "/hook?a=b", stdin=lines(event(1), event(2)))
            self.assertEqual((run.code, run.err), (0, ""))
        question, *events = receiver.requests
        self.assertEqual([(r.method, r.target) for r in receiver.requests], [("OPTIONS", "/hook?a=b")] + [("POST", "/hook?a=b")] * 2)
        self.assertEqual([question.headers[f] for f in ("WebHook-Request-Origin", "WebHook-Request-Rate", "X-Ours")], ["events.example.com", "6000", "1"])
        self.assertEqual([e.headers["WebHook-Request-Origin"] for e in events], ["events.example.com"] * 2)

    def test_the_rate_that_is_allowed_is_obeyed(self):
        with self.consenting(rate="1200") as receiver:
            began = time.monotonic()
            run = Run("deliver", *self.ASK, receiver.url, stdin=lines(*(event(i) for i in range(6))))
            self.assertEqual((run.code, len(receiver.requests)), (0, 7))
            self.assertGreaterEqual(time.monotonic() - began, 5 * 60 / 1200)  # a lower bound alone: the first goes at once

    def test_without_consent_nothing_is_sent_and_nothing_is_read(self):
        for respond, why in ((lambda request, n: 200, "does not consent to events from events.example.com: its response has no WebHook-Allowed-Origin for it"),
                             (lambda request, n: (200, {"WebHook-Allowed-Origin": "other.example.com"}), "does not consent"),
                             (lambda request, n: 405, "cannot be asked: 405 Method Not Allowed")):
            with Recorder(respond) as receiver, Pipe() as pipe:
                pipe.write(lines(event(1)))
                done = subprocess.run([program("deliver"), *FAST, *self.ASK, receiver.url], stdin=pipe.reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
                self.assertEqual((done.returncode, done.stdout), (1, b""))
                self.assertIn(f"deliver: --ce-permission: {receiver.url} {why}", done.stderr.decode())
                self.assertEqual(pipe.rest(), lines(event(1)))
                self.assertEqual({r.method for r in receiver.requests}, {"OPTIONS"})

    def test_an_endpoint_that_is_busy_is_asked_again(self):
        allowed = {"WebHook-Allowed-Origin": "*"}
        with Recorder(lambda request, n: 503 if n < 3 else (200, allowed)) as receiver:
            run = Run("deliver", *FAST, *self.ASK, receiver.url, stdin=lines(event(1)))
            self.assertEqual((run.code, [r.method for r in receiver.requests]), (0, ["OPTIONS"] * 3 + ["POST"]))

    def test_the_others_go_on_without_an_endpoint_that_does_not_consent_unless_each_event_goes_to_all(self):
        with self.consenting() as one, Recorder() as other:
            for to, code in (("any", 0), ("all", 1)):
                run = Run("deliver", "--to", to, *self.ASK, one.url, other.url, stdin=lines(event(1), event(2)))
                self.assertEqual(run.code, code, run.err)
                self.assertIn(f"deliver: --ce-permission: {other.url} does not consent", run.err)
                self.assertEqual("it gets no events" in run.err, code == 0)
            self.assertEqual({r.method for r in other.requests}, {"OPTIONS"})
            self.assertEqual(len([r for r in one.requests if r.method == "POST"]), 2)

    def test_it_may_be_one_endpoints_own(self):
        with self.consenting() as asked, Recorder() as other:
            run = Run("deliver", "--to", "all", *self.endpoints({"url": asked.url, "ce-permission": "events.example.com"}, {"url": other.url}), stdin=lines(event(1)))
            self.assertEqual((run.code, [r.method for r in asked.requests], [r.method for r in other.requests]), (0, ["OPTIONS", "POST"], ["POST"]))

    def test_what_cannot_be_asked_is_one_sentence(self):
        for words, sentence in ((("--ce-permission", ""), "--ce-permission: "), (("--ce-permission-rate", "5"), "--ce-permission-rate: needs --ce-permission ORIGIN"),
                                ((*self.ASK, "--ce-permission-rate", "0"), "is not a whole number from 1")):
            run = Run("deliver", *words, "http://127.0.0.1:9/")
            self.assertEqual((run.code, run.out, run.err.count("\n")), (2, "", 1), run.err)
            self.assertIn(sentence, run.err)

    def test_an_address_that_may_not_be_sent_to_is_not_asked_either(self):
        with self.consenting() as receiver:
            run = Run("deliver", "--deny-private", *self.ASK, receiver.url, stdin=lines(event(1)))
            self.assertEqual((run.code, receiver.requests), (1, []))
            self.assertIn("cannot be asked: denied", run.err)


if __name__ == "__main__":
    main()
