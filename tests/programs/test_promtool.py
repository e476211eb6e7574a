#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prometheus' own tool about what we give it: the page of a sink, and the alerts of docs/sink.md.

    test_promtool.py PAGE BIN...     exit 77 where there is no promtool (package prometheus)
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Run, Server, Service, curl, event, main, wait_for  # noqa: E402

PAGE = sys.argv.pop(1)
OK = {"do": "respond", "status": 202}

OF = 'instance="a",job="deliver"'
SERIES = """
      - {series: 'again_sink_events_accepted_total{%(of)s}', values: '0+100x40'}
      - {series: 'again_sink_events_delivered_total{%(of)s}', values: '0+%(delivered)sx40'}
      - {series: 'again_sink_events_failed_total{%(of)s,reason="permanent"}', values: '0+%(permanent)sx40'}
      - {series: 'again_sink_events_failed_total{%(of)s,reason="deadline_reached"}', values: '0+%(late)sx40'}
      - {series: 'again_sink_dead_letters_total{%(of)s,result="lost"}', values: '0x10 %(lost)sx30'}
      - {series: 'again_sink_queue_length{%(of)s}', values: '0x10 %(queue)sx30'}
"""
ALERTS = ("DeadLettersLost", "EventsFail", "QueueDoesNotDrain")


def case(name, raised, minute, **values):
    text = f"  - name: {name}\n    interval: 1m\n    input_series:{SERIES % values}    alert_rule_test:\n"
    for alert in ALERTS:
        labels = {"DeadLettersLost": '{instance: a, job: deliver, result: lost}'}.get(alert, "{instance: a, job: deliver}")
        expected = f"[{{exp_labels: {labels}}}]" if alert in raised else "[]"
        text += f"      - {{eval_time: {minute}m, alertname: {alert}, exp_alerts: {expected}}}\n"
    return text


def promtool(*words, **how):
    done = subprocess.run(["promtool", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **how)
    return done.returncode, done.stdout.decode()


class Promtool(unittest.TestCase):
    def test_the_page_of_a_sink_is_accepted(self):
        script = {'"/test#e1"': [{"do": "respond", "status": 503}, OK], '"/test#e2"': [{"do": "respond", "status": 422}], "*": [OK]}
        with Server(script, "--key", "Idempotency-Key") as server, Service(server.url(), "--metrics", 0, "--base", "1ms") as service:
            service.give(*map(event, range(10)))
            wait_for(lambda: len(service.results) == 10)
            page = curl(service.ports["metrics"])[2]
            service.end()
        self.assertEqual(promtool("check", "metrics", input=page.encode()), (0, ""))

    def test_the_page_of_a_journal_is_accepted(self):
        with tempfile.TemporaryDirectory() as folder:
            journal = ("--journal", os.path.join(folder, "events.db"))
            if "without SQLite" in Run("deliver", *journal, "http://127.0.0.1:9/", "--short-wait", "no").err:
                self.skipTest("deliver was built without SQLite")
            with Server({'"/test#e2"': [{"do": "respond", "status": 422}], "*": [OK]}, "--key", "Idempotency-Key") as server, \
                    Service(*journal, server.url(), "--metrics", 0) as service:
                service.give(*map(event, range(10)))
                wait_for(lambda: len(service.results) == 10)
                page = curl(service.ports["metrics"])[2]
                service.end()
        self.assertIn("again_journal_oldest_due_age_seconds 0\n", page)
        self.assertEqual(promtool("check", "metrics", input=page.encode()), (0, ""))

    def test_the_alerts_of_the_manual_are_raised_when_they_should_be_and_only_then(self):
        with open(PAGE, encoding="utf-8") as file:
            rules = re.search(r"^cat > alerts.yml <<'END'\n(.*?)^END$", file.read(), re.M | re.S)[1]
        cases = "rule_files: [alerts.yml]\nevaluation_interval: 1m\ntests:\n" + "".join((
            case("healthy", (), 30, of=OF, delivered=100, permanent=0, late=0, lost=0, queue=0),
            case("a few fail", (), 30, of=OF, delivered=99.5, permanent=0.25, late=0.25, lost=0, queue=0),
            case("too many fail", ("EventsFail",), 30, of=OF, delivered=98, permanent=1, late=1, lost=0, queue=0),
            case("letters are lost", ("DeadLettersLost",), 12, of=OF, delivered=100, permanent=0, late=0, lost=2, queue=0),
            case("the queue does not drain", ("QueueDoesNotDrain",), 30, of=OF, delivered=100, permanent=0, late=0, lost=0, queue=7)))
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("alerts.yml", rules), ("cases.yml", cases)):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
            code, said = promtool("test", "rules", "cases.yml", cwd=folder)
            self.assertEqual(code, 0, said)


if not shutil.which("promtool"):
    print("promtool (package prometheus) is not installed: neither the pages nor the alerts were checked by it")
    sys.exit(77)
main()
