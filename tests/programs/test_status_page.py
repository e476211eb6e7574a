#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The page of `deliver --status` in a headless Chromium.

    test_status_page.py BIN...     exit 77 where there is no Chromium (packages chromium, chromium-driver)
"""
import json
import os
import re
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser, missing  # noqa: E402
from harness import Run, Server, Service, event, main  # noqa: E402

OK = {"do": "respond", "status": 202}
NO = {"do": "respond", "status": 422}
TOKEN = "0123456789abcdef0123"
TAB, ENTER = "\ue004", "\ue007"  # as WebDriver has them

if missing():
    print(f"{missing()}: the status page was not looked at")
    sys.exit(77)


def with_id(event_id):
    """The XPath of an event that has failed."""
    return f"//ul[@id='events']/li[.//bdi[@class='id' and text()='{event_id}']]"


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.token = os.path.join(self.folder, "token")
        with open(self.token, "w", encoding="utf-8") as file:
            os.chmod(self.token, 0o600)
            file.write(TOKEN + "\n")
        self.expected = []  # complaints of the browser that a test brings about
        self.browser.size(1100, 1200)

    def tearDown(self):
        self.browser.listen()
        origins = {re.match(r"[a-z]+://[^/]+|[a-z]+:", url)[0] for url in self.browser.requests}
        complaints = [c for c in self.browser.complaints if not any(e in c for e in self.expected)]
        self.browser.requests, self.browser.complaints = [], []
        self.assertEqual(complaints, [], "an error of a script, or a request that failed")
        inside = {o for o in origins if o.startswith(("data:", "about:", "chrome:"))}  # of the page and the browser themselves
        self.assertEqual(origins - inside, {self.origin}, "a request that is not for the page's own program")

    def open(self, service):
        self.origin = service.ports["status"].rstrip("/")
        self.browser.open(service.ports["status"])
        self.wait("document.querySelector('#link').className == 'live'")

    def wait(self, script, *arguments):
        self.browser.wait(script, *arguments)

    def wait_tile(self, name, value):
        self.wait("(document.getElementById('tile-' + arguments[0]) || {}).textContent == arguments[1]", name, value)

    def wait_tag(self, event_id, text):
        self.wait("[...document.querySelectorAll('#events > li')].some(e => e.querySelector('.id').textContent == arguments[0] && "
                  "e.querySelector('.tag').textContent.startsWith(arguments[1]))", event_id, text)

    def visible_buttons(self):
        return self.browser.run("return [...document.querySelectorAll('#events button')].filter(b => b.checkVisibility()).map(b => b.textContent)")

    def test_numbers_follow_what_is_delivered_and_without_a_journal_nothing_can_be_changed(self):
        with Server({'"/test#e1"': [NO], "*": [OK]}, "--key", "Idempotency-Key") as server, Service(server.url("/in"), "--status", 0, "--status-admin", self.token) as service:
            self.open(service)
            self.wait_tile("delivered", "0")
            self.assertEqual(self.browser.run("return document.title"), "deliver")
            service.give(event(0), event(1))
            self.wait_tile("delivered", "1")
            self.wait_tile("failed", "1")
            self.wait_tag("e1", "not delivered")
            self.wait("document.title == '(1 failed) deliver'")
            service.give(*map(event, range(2, 1502)))
            self.wait_tile("delivered", "1,501")
            self.wait("document.querySelector('#chart polyline.delivered')")
            self.wait("document.querySelector('#spoken').textContent == '1 event has failed'")
            self.assertEqual(self.visible_buttons(), [])
            self.assertIn("Without a journal", self.browser.text("#admin"))
            self.assertIn("422 Unprocessable Content", self.browser.text("#events > li .why"))
            self.assertIn(server.url("/in"), self.browser.text("#endpoints tbody"))

    def test_a_dead_event_is_sent_again_by_a_click_and_another_one_is_discarded(self):
        journal = os.path.join(self.folder, "events.db")
        with Server({'"/test#e1"': [NO, OK], '"/test#e2"': [NO], "*": [OK]}, "--key", "Idempotency-Key") as server, \
                Service("--journal", journal, server.url(), "--status", 0, "--status-admin", self.token) as service:
            self.open(service)
            service.give(*map(event, range(4)))
            self.wait_tag("e1", "dead")
            self.wait_tile("dead", "2")
            self.expected = ["status of 401"]
            self.browser.click(with_id("e1") + "//button[1]")
            self.wait("document.querySelector('#ask').open && document.activeElement.id == 'token'")
            self.browser.type("not the token" + ENTER)
            self.wait("document.querySelector('#ask').open && document.querySelector('#ask-why').textContent.includes('refused')")
            self.browser.type(TOKEN + ENTER)
            self.wait_tag("e1", "delivered")
            self.browser.click(with_id("e2") + "//button[2]")  # it asks whether
            self.wait("[...document.querySelectorAll('#events button')].some(b => b.textContent == 'Discard for good?')")
            self.browser.click(with_id("e2") + "//button[2]")  # the token is known
            self.wait_tag("e2", "discarded")
            self.wait_tile("done", "3")
            self.wait_tile("dead", "0")
            self.wait("document.title == 'deliver'")
            self.assertEqual(self.visible_buttons(), [])
            self.assertEqual(self.browser.run("return [document.cookie, localStorage.length, sessionStorage.length]"), ["", 0, 1])
            self.browser.run("sessionStorage.clear()")
        self.assertEqual(json.loads(Run("deliver", "journal", "show", journal, "e1").out)["state"], "done")
        self.assertIn("there is no event e2", Run("deliver", "journal", "show", journal, "e2").err)

    def test_an_endpoint_is_paused_and_resumed_by_clicks(self):
        with Server({"*": [OK]}) as server, Service(server.url(), "--status", 0, "--status-admin", self.token) as service:
            self.open(service)
            self.browser.click("//td[@class='act']/button[text()='Pause']")
            self.wait("document.activeElement.id == 'token'")
            self.browser.type(TOKEN + ENTER)
            self.wait("document.querySelector('#endpoints .tag').textContent == 'paused by hand'")
            service.give(event(1))
            self.wait_tile("queued", "1")
            self.assertEqual(server.counts()["requests"], 0)
            self.browser.click("//td[@class='act']/button[text()='Resume']")
            self.wait_tile("delivered", "1")
            self.browser.run("sessionStorage.clear()")

    def test_without_the_flag_the_page_is_read_only_and_says_so(self):
        with Server({"*": [NO]}) as server, Service("--journal", os.path.join(self.folder, "events.db"), server.url(), "--status", 0) as service:
            self.open(service)
            service.give(event(1))
            self.wait_tag("e1", "dead")
            self.wait("document.querySelector('#admin').textContent.startsWith('Read-only')")
            self.assertEqual(self.visible_buttons(), [])

    def test_everything_is_reached_by_keyboard_and_nothing_is_wider_than_400_px(self):
        ends = os.path.join(self.folder, "at.json")
        with Server({"*": [NO]}) as server, open(ends, "w", encoding="utf-8") as file:
            json.dump([{"url": server.url("/" + "long" * 60)}, {"url": server.url("/b"), "name": "b" * 200}], file)
            file.flush()
            with Service("--journal", os.path.join(self.folder, "events.db"), "--endpoints", ends, "--status", 0, "--status-admin", self.token) as service:
                self.open(service)
                service.give(event(1, id="x" * 290), event(2))
                self.wait_tag("e2", "dead")
                self.wait("document.querySelectorAll('#events > li').length == 2")
                self.browser.size(400, 900)
                self.wait("innerWidth == 400")
                self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth"), 400)
                for scheme in ("dark", "light"):
                    self.browser.scheme(scheme)
                    self.wait("matchMedia(`(prefers-color-scheme: ${arguments[0]})`).matches", scheme)
                reached = []
                for _ in range(4):
                    self.browser.type(TAB)
                    reached.append(self.browser.run("const e = document.activeElement; return [e.getAttribute('aria-label'), getComputedStyle(e).outlineStyle]"))
                self.assertEqual([words.split(":")[0] for words, _ in reached], ["Pause", "Pause", "Send again", "Discard"])
                self.assertEqual({outline for _, outline in reached}, {"solid"}, "the focus is seen")
                self.browser.type(ENTER)
                self.wait("document.activeElement.textContent == 'Discard for good?'")

    def test_hostile_text_is_shown_as_text(self):
        name, ends = "<img src=x onerror=\"document.title='stolen'\">", os.path.join(self.folder, "at.json")
        hostile = "\"><script>document.title='stolen'</script> \u202e\u0007 עברית'"
        with Server({"*": [NO]}) as server, open(ends, "w", encoding="utf-8") as file:
            json.dump([{"url": server.url("/a"), "name": name}, {"url": server.url("/b"), "name": "b"}], file)
            file.flush()
            with Service("--endpoints", ends, "--to", "all", "--status", 0) as service:
                self.open(service)
                service.give(event(1, id=hostile))
                self.wait_tag("\"><script>document.title='stolen'</script> \\u202e\\u0007 עברית'", "not delivered")
                self.assertEqual(self.browser.text("#endpoints tbody bdi"), name)
                self.assertIn("at " + name, self.browser.text("#events .trace"))
                self.assertEqual(self.browser.run("return [document.images.length, document.scripts.length, document.title]"), [0, 1, "(1 failed) deliver"])

    def test_a_page_that_has_lost_its_program_says_so_and_finds_the_next_one(self):
        with Server({"*": [OK]}) as server:
            with Service(server.url(), "--status", 0) as service:
                self.open(service)
                port = self.origin.rpartition(":")[2]
                service.give(event(1))
                self.wait_tile("delivered", "1")
                service.end(signal.SIGTERM)
            self.expected = ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET"]
            self.wait("document.querySelector('#link').textContent == 'connection lost, trying again'")
            with Service(server.url(), "--status", port) as service:
                self.wait_tile("delivered", "0")
                self.wait("document.querySelector('#link').className == 'live'")


main()
