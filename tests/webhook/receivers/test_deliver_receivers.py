#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `deliver` sends, as receivers read it that others wrote: npm's standardwebhooks and cloudevents, under node.

    test_deliver_receivers.py BUILD DELIVER     BUILD: where the packages are installed; exit 77 where node, npm or the registry is missing
"""
import base64
import json
import os
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from receivers import HMAC, NEW_HMAC, PRIVATE, PUBLIC, Receiver, install  # noqa: E402

DELIVER = sys.argv[2]


class Delivering(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def secrets(self, *keys):
        with open(self.path("secrets"), "w", encoding="ascii") as file:
            file.write("\n".join(keys))
        os.chmod(self.path("secrets"), 0o600)
        return ("--sign", self.path("secrets"))

    def deliver(self, receiver, given, *options, target="/hook"):
        """The results, and what the receiver saw."""
        done = subprocess.run([DELIVER, "--base", "1ms", *options, f"http://127.0.0.1:{receiver.port}{target}"], input=given, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.stderr, b"")
        results = [json.loads(line) for line in done.stdout.splitlines()]
        return results, [receiver.read() for _ in range(sum(r["attempts"] for r in results))]


class StandardWebhooks(Delivering):
    GIVEN = b'{ "id" : "1" ,\t"n": 1.0e+2 , "t": "\\u00e4 \xc3\xa4" }'

    def test_both_schemes_are_verified_over_the_bytes_that_were_read(self):
        with Receiver(HMAC, PUBLIC) as receiver:
            (result,), (seen,) = self.deliver(receiver, self.GIVEN + b"\n", *self.secrets(HMAC, PRIVATE))
            self.assertEqual((result["status"], seen["keys"]), (204, {HMAC: "verified", PUBLIC: "verified"}))
            self.assertEqual(base64.b64decode(seen["body"]), self.GIVEN)

    def test_each_attempt_is_verified_and_has_the_same_id(self):
        with Receiver(HMAC, PUBLIC) as receiver:
            (result,), seen = self.deliver(receiver, self.GIVEN, *self.secrets(HMAC, PRIVATE), target="/hook?failures=2")
            self.assertEqual((result["attempts"], [s["status"] for s in seen]), (3, [500, 500, 204]))
            self.assertEqual(len({s["headers"]["webhook-id"] for s in seen}), 1)
            self.assertEqual({v for s in seen for v in s["keys"].values()}, {"verified"})

    def test_during_a_rotation_receivers_with_the_old_and_the_new_key_verify(self):
        for known in (HMAC, NEW_HMAC):
            with Receiver(known) as receiver:
                (result,), _ = self.deliver(receiver, self.GIVEN, *self.secrets(NEW_HMAC, HMAC))
                self.assertEqual(result["status"], 204)
        with Receiver(HMAC) as receiver:
            (result,), (seen,) = self.deliver(receiver, self.GIVEN, *self.secrets(NEW_HMAC))
            self.assertEqual((result["status"], result["reason"], seen["keys"]), (400, "permanent", {HMAC: "No matching signature found"}))

    def test_a_replayed_and_a_tampered_request_are_refused(self):
        with Receiver(HMAC, PUBLIC) as receiver:
            _, (seen,) = self.deliver(receiver, self.GIVEN, *self.secrets(HMAC, PRIVATE))
            self.assertEqual(receiver.repeat(seen)[0], 409)
            for change in ({"body": self.GIVEN + b" "}, {"webhook_id": "other"}, {"webhook_timestamp": str(int(seen["headers"]["webhook-timestamp"]) + 1)}):
                self.assertEqual(receiver.repeat(seen, **change)[0], 400, change)


class CloudEvents(Delivering):
    EVENT = {"specversion": "1.0", "id": "1", "source": "/orders", "type": "com.example.made", "subject": 'Euro \u20ac "100%"', "count": -5, "urgent": True,
             "time": "2018-04-05T17:31:00.000Z", "datacontenttype": "application/json", "data": {"a": [1, 2.5, "\u00e4"]}}

    def test_all_three_modes_are_read(self):
        for mode in ("structured", "binary", "batched"):
            with Receiver() as receiver:
                (result,), (seen,) = self.deliver(receiver, json.dumps(self.EVENT).encode(), "--ce-mode", mode, target="/cloudevents")
                self.assertEqual(result["status"], 204, seen)
                (read,) = seen["events"]
                if mode == "binary":  # the package leaves percent codes and the texts of numbers as they are
                    read["subject"] = urllib.parse.unquote(read["subject"])
                    read["count"], read["urgent"] = int(read["count"]), read["urgent"] == "true"
                self.assertEqual(read, self.EVENT, mode)

    def test_bytes_and_text_are_read_in_all_three_modes(self):
        raw = {"specversion": "1.0", "id": "1", "source": "/o", "type": "t", "datacontenttype": "application/octet-stream",
               "data_base64": base64.b64encode(bytes(range(256))).decode()}
        text = {"specversion": "1.0", "id": "2", "source": "/o", "type": "t", "datacontenttype": "text/plain", "data": 'h\u00e4llo "you"\n'}
        for mode in ("structured", "binary", "batched"):
            with Receiver() as receiver:
                _, (seen,) = self.deliver(receiver, json.dumps(raw).encode(), "--ce-mode", mode, target="/cloudevents")
                if mode == "binary":
                    self.assertEqual(base64.b64decode(seen["body"]), bytes(range(256)))
                else:
                    self.assertEqual(base64.b64decode(seen["events"][0]["data_base64"]), bytes(range(256)))
                _, (seen,) = self.deliver(receiver, json.dumps(text).encode(), "--ce-mode", mode, target="/cloudevents")
                self.assertEqual(seen["events"][0]["data"], text["data"])


install()
unittest.main(argv=sys.argv[:1])
