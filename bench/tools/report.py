# SPDX-License-Identifier: MIT
"""What the topics written in Python share: the options, the table and the JSON lines of bench/harness.cpp."""
import argparse
import datetime
import json
import os
import re
import shlex
import statistics
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def first_match(path, pattern):
    try:
        with open(path, encoding="utf-8") as file:
            found = re.search(pattern, file.read(), re.M)
            return found.group(1) if found else "unknown"
    except OSError:
        return "unknown"


def works(compiler, flags):
    run = subprocess.run(compiler + flags + ["-fsyntax-only", "-x", "c++", "-"], input="", capture_output=True, text=True)
    return run.returncode == 0


class Suite:
    def __init__(self, topic):
        options = argparse.ArgumentParser()
        options.add_argument("--quick", action="store_true")
        options.add_argument("--json")
        options.add_argument("--only", default="")
        self.options = options.parse_args()
        self.topic = topic
        self.quick = self.options.quick
        self.compiler = shlex.split(os.environ.get("CXX", "g++"))
        self.std = next(f for f in ("-std=c++23", "-std=c++2b", "-std=c++20") if works(self.compiler, [f]))
        self.cases, self.goals, self.notes = [], [], []  # case: (group, who, {metric: [values]})

    def wanted(self, group, who):
        return self.options.only in group or self.options.only in who

    def add(self, group, who, metrics):
        self.cases.append((group, who, metrics))

    def value(self, group, who, metric):
        for g, w, metrics in self.cases:
            if (g, w) == (group, who) and metric in metrics:
                return statistics.median(metrics[metric])
        return None

    def goal(self, text, group, who, metric, limit, against):
        ours, theirs = self.value(group, who, metric), self.value(group, against, metric)
        if ours is not None and theirs:
            self.goals.append({"text": text, "value": ours / theirs, "limit": limit, "at_least": False, "met": ours / theirs <= limit + 0.001})

    def finish(self):
        version = subprocess.run(self.compiler + ["--version"], capture_output=True, text=True).stdout.split("\n")[0]
        machine = {
            "compiler": version, "flags": self.std + " -O2", "cpu": first_match("/proc/cpuinfo", r"^model name\s*: (.*)$"),
            "threads": os.cpu_count(), "system": first_match("/etc/os-release", r'^PRETTY_NAME="(.*)"$'),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "quick": self.quick,
        }
        print(f"\n== {self.topic} == {version}, {machine['flags']}; {machine['cpu']}; {machine['system']}; {machine['threads']} threads")
        last = None
        for group, who, metrics in self.cases:
            figures = "  ".join(f"{name} {statistics.median(v):.4g}" for name, v in metrics.items())
            print(f"{'' if group == last else group:<34} {who:<38} {figures}")
            last = group
        for g in self.goals:
            print(f"  {'met   ' if g['met'] else 'MISSED'}  {g['text']}: {g['value']:.2f} (<= {g['limit']:.2f})")
        for n in self.notes:
            print("  " + n)
        if not self.options.json:
            return
        with open(self.options.json, "a", encoding="utf-8") as out:
            def line(kind, **fields):
                out.write(json.dumps({"topic": self.topic, "kind": kind, **fields}) + "\n")
            line("run", **machine)
            for group, who, metrics in self.cases:
                fields = {}
                for name, values in metrics.items():
                    fields[name] = statistics.median(values)
                    if len(values) > 1:
                        fields[name + "_least"] = min(values)
                line("case", group=group, who=who, rounds=max(map(len, metrics.values())), **fields)
            for g in self.goals:
                line("goal", **g)
            for n in self.notes:
                line("note", text=n)
