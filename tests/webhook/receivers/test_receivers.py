#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Webhooks as receivers read them that others wrote: npm's standardwebhooks and cloudevents, under node.

    test_receivers.py BUILD SENDER     BUILD: where the packages are installed; exit 77 where node, npm or the registry is missing
"""
import base64
import os
import subprocess
import sys
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
SENDER = sys.argv[2]
sys.path.insert(0, HERE)

from receivers import HMAC, NEW_HMAC, PRIVATE, PUBLIC, Receiver as AnyReceiver, install  # noqa: E402


class Receiver(AnyReceiver):
    def sign(self, keys, identity="msg_1", body='{"test": 2432232314}', clock=0, target="/hook"):
        """What the sender says, and what the receiver saw of each attempt."""
        said = sender(["sign", f"http://127.0.0.1:{self.port}{target}", identity, str(clock)], body, keys)
        attempts = int(said.split()[0])
        return said.strip(), [self.read() for _ in range(attempts)]


def sender(words, body="", keys=()):
    environment = {**os.environ, "AGAIN_TEST_KEYS": "\n".join(keys)}
    done = subprocess.run([SENDER, *words], input=body, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120)
    for key in keys:
        assert key not in done.stdout + done.stderr and key[6:] not in done.stdout + done.stderr
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


class StandardWebhooks(unittest.TestCase):
    def test_both_schemes_are_verified(self):
        with Receiver(HMAC, PUBLIC) as receiver:
            said, (seen,) = receiver.sign([HMAC, PRIVATE])
            self.assertEqual(said, "1 204")
            self.assertEqual(seen["keys"], {HMAC: "verified", PUBLIC: "verified"})
            self.assertEqual(len(seen["headers"]["webhook-signature"].split(" ")), 2)
            said, (seen,) = receiver.sign([PRIVATE], "msg_2")
            self.assertEqual((said, seen["keys"]), ("1 204", {HMAC: "No matching signature found", PUBLIC: "verified"}))

    def test_bodies_are_signed_as_they_are(self):
        with Receiver(HMAC, PUBLIC) as receiver:
            for number, body in enumerate(('{}', '{ "a" : 1.0 }\n', '"\\u00e4 \u00e4 \U0001f600"', '[1,\r\n2]')):
                said, (seen,) = receiver.sign([HMAC, PRIVATE], f"msg_{number}", body)
                self.assertEqual((said, set(seen["keys"].values())), ("1 204", {"verified"}))
                self.assertEqual(base64.b64decode(seen["body"]), body.encode())

    def test_during_a_rotation_old_and_new_receivers_verify(self):
        for receivers_key in (HMAC, NEW_HMAC):
            with Receiver(receivers_key) as receiver:
                self.assertEqual(receiver.sign([NEW_HMAC, HMAC])[0], "1 204")
        with Receiver(HMAC) as receiver:
            said, attempts = receiver.sign([NEW_HMAC])
            self.assertEqual(attempts[0]["keys"], {HMAC: "No matching signature found"})
            self.assertIn("400 Bad Request", said)
            self.assertEqual(len(attempts), 10)  # by the schedule, to its end

    def test_every_attempt_is_signed_afresh_and_has_the_same_id(self):
        with Receiver(HMAC, PUBLIC) as receiver:
            said, attempts = receiver.sign([HMAC, PRIVATE], clock=-200, target="/hook?failures=2")
            self.assertEqual(said, "3 204")
            self.assertEqual([a["status"] for a in attempts], [500, 500, 204])
            self.assertEqual({a["headers"]["webhook-id"] for a in attempts}, {"msg_1"})
            self.assertEqual(len({a["headers"]["webhook-timestamp"] for a in attempts}), 3)
            self.assertEqual(len({a["headers"]["webhook-signature"] for a in attempts}), 3)
            for attempt in attempts:
                self.assertEqual(set(attempt["keys"].values()), {"verified"})

    def test_a_replayed_and_a_tampered_request_are_refused(self):
        with Receiver(HMAC, PUBLIC) as receiver:
            _, (seen,) = receiver.sign([HMAC, PRIVATE])
            self.assertEqual(receiver.repeat(seen)[0], 409)  # the id was seen
            for change in ({"body": b'{"test": 2432232315}'}, {"webhook_id": "msg_2"},
                           {"webhook_timestamp": str(int(seen["headers"]["webhook-timestamp"]) + 1)},
                           {"webhook_signature": seen["headers"]["webhook-signature"].replace("v1,", "v2,").replace("v1a,", "v3,")}):
                status, again = receiver.repeat(seen, **change)
                self.assertEqual(status, 400, change)
                self.assertEqual(again["keys"], {HMAC: "No matching signature found", PUBLIC: "No match"})

    def test_a_message_of_another_time_is_refused(self):
        for clock, why in ((-400, "Message timestamp too old"), (400, "Message timestamp too new")):
            with Receiver(HMAC) as receiver:
                _, attempts = receiver.sign([HMAC], clock=clock)
                self.assertEqual(attempts[0]["keys"], {HMAC: why})


class CloudEvents(unittest.TestCase):
    def received(self, mode, requests):
        with Receiver() as receiver:
            said = sender(["event", f"http://127.0.0.1:{receiver.port}/cloudevents", mode])
            self.assertEqual(said.split("\n")[:-1], ["1 204"] * requests)
            return [receiver.read() for _ in range(requests)]

    def check(self, events):
        first, text, raw, empty = events
        self.assertEqual({k: first[k] for k in ("specversion", "id", "source", "type", "subject", "time", "partitionkey")},
                         {"specversion": "1.0", "id": "1", "source": "/orders", "type": "com.example.order.made",
                          "subject": 'Euro \u20ac \U0001f600 "100%"', "time": "2018-04-05T17:31:00.000Z", "partitionkey": "a b"})
        self.assertEqual((first["data"], first["datacontenttype"]), ({"a": [1, 2.5, "\u00e4"]}, "application/json"))
        self.assertEqual((text["id"], text["source"], text["data"]), ("2", "urn:x:y", 'h\u00e4llo "you"\n'))
        self.assertEqual(text["datacontenttype"], "text/plain; charset=utf-8")
        self.assertEqual((raw["id"], raw["datacontenttype"]), ("3", "application/octet-stream"))
        self.assertEqual((empty["id"], empty["type"]), ("4", "com.example.order.gone"))
        self.assertFalse(empty.get("data"))

    def test_structured(self):
        requests = self.received("structured", 4)
        events = [r["events"][0] for r in requests]
        self.check(events)
        self.assertEqual((events[0]["count"], events[0]["urgent"]), (-5, True))
        self.assertEqual(base64.b64decode(events[2]["data_base64"]), bytes(range(256)))

    def test_batched(self):
        (request,) = self.received("batched", 1)
        self.check(request["events"])
        self.assertEqual(base64.b64decode(request["events"][2]["data_base64"]), bytes(range(256)))

    def test_binary(self):
        requests = self.received("binary", 4)
        events = [r["events"][0] for r in requests]
        for name in ("subject", "partitionkey"):
            # The package leaves percent codes as they are, which the HTTP binding (3.1.3.2) has a receiver decode.
            events[0][name] = urllib.parse.unquote(events[0][name])
        self.check(events)
        self.assertEqual([base64.b64decode(r["body"]) for r in requests],
                         ['{ "a" : [1, 2.50, "\u00e4"] }'.encode(), 'h\u00e4llo "you"\n'.encode(), bytes(range(256)), b""])
        self.assertEqual(requests[0]["headers"]["ce-subject"], "Euro%20%E2%82%AC%20%F0%9F%98%80%20%22100%25%22")
        self.assertNotIn("ce-datacontenttype", requests[0]["headers"])


install()
unittest.main(argv=sys.argv[:1])
