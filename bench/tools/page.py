#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes docs/performance.md and its figures from what `./dev bench --json FILE` has written.

    bench/tools/page.py bench/results/*.jsonl      the first file is shown in full, of the others the goals
"""
import json
import os
import sys
import textwrap
from xml.sax.saxutils import escape

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIGURES = os.path.join(ROOT, "docs", "figures")
PAGE = os.path.join(ROOT, "docs", "performance.md")

WIDTH = 120  # of prose; a table row is as long as it is

TOPICS = {  # in this order; what is said above each table
    "await": "One `co_await` of a coroutine that returns a number and does nothing else. The *textbook task* knows no scheduler, no stop "
             "request and no exceptions, and its frame comes from the heap.",
    "retry": "An operation that fails a few times and then succeeds, without waits. *Loop by hand* is a function that retries, in the "
             "same coroutine type. *In the caller* is the same loop written where the result is used: it saves a frame and cannot be "
             "reused. *Bounded* has jitter, an attempt timeout, a deadline and a stop token; its loop by hand checks the clock and the "
             "token.",
    "combinators": "Each combinator around an operation that succeeds at once. A combinator that needs the time reads the clock, which is "
                   "most of its cost: see *steady_clock::now, twice*.",
    "timers": "Coroutines that wait at the same time on one thread, each for a random time below one second. *peak*: bytes of heap for "
              "each, at the worst moment.",
    "asio": "Inside Boost.Asio, on one `io_context`. The first group: a coroutine of Asio makes one call after the other; each goes through the "
            "loop once. The second: a million waits at once, through our timers on Asio's loop, and with a `steady_timer` in each coroutine.",
    "senders": "Senders and receivers (P2300), over the look-alike of stdexec that the tests use. All on one loop of ours, except what goes "
               "by the default loop, which is another thread.",
    "interop": "Coroutines of other libraries (the look-alikes of the tests) that await a retry. Those in an `again::task` stay on our "
               "loop; the others go to the thread of the default loop and back.",
    "client": "What the client, the retry and the sink cost where there is no network: over a transport that has a response at once. "
              "*The transport alone* makes the header fields of the request and a response with eight fields.",
    "http": "1 KiB over kept connections to an nginx with one worker on the same machine. Client and server share its processors. "
            "*cpu_us*: the client's CPU time for one request, in microseconds. *krps*: thousand requests a second. *cpu / Asio* and *krps / Asio*: beside "
            "Boost.Asio by hand. *Shared loop*: `run_loop::share_with_workers`; the worker that brings a response resumes the coroutine. "
            "*Over Beast, one thread*: all runs on one `io_context`. *By hand*: coroutines of Asio, one thread, a connection for each "
            "request in flight; over Asio alone, the client reads the status and the `Content-Length` and nothing else. *instructions*: outside "
            "the kernel, of clients with one thread.",
    "scale": "10 000 requests in flight, each answered after 1.5 s, and three rounds of that over the same connections: 4.5 s at the least. Each "
             "client is a process with nothing else in it; the server is another one. *wall_s* includes connecting. *cpu_us*: for one "
             "request. *descriptors* and *threads*: most at a time.",
    "deliver": "The program `deliver`, from its start to its end: a file of events of about 200 bytes, each POSTed to an nginx with one worker "
               "on the same machine. The program beside it POSTs the same lines over libcurl's multi interface; it parses none of them, "
               "makes no key and writes no result. *krps*: thousand events a second. *cpu_us*: CPU time for one event. *cpu / curl* and *krps / curl*: beside it.",
    "sink": "Events delivered through the sink, beside the same requests without it.",
    "include-cost": "The compiler's CPU seconds for a file that contains nothing but the `#include`, without code generation.",
    "binary-size": "Bytes of code and unwinding tables that one more use adds, each with an operation of a different type.",
}
# What the results were called when they were measured, and what the same thing is called today.
RENAMED = {"again/policy.hpp": "again/policy/policy.hpp", "again/task.hpp": "again/coro/task.hpp", "lent loop": "shared loop",
           "loop lent": "shared loop"}
COLUMNS = [("ns", "ns"), ("ns_least", "least"), ("allocations", "allocations"), ("bytes", "bytes"), ("instructions", "instructions"),
           ("peak", "peak"), ("cpu_us", "cpu_us"), ("cpu_of_asio", "cpu / Asio"),
           ("cpu_of_curl", "cpu / curl"), ("krps", "krps"), ("krps_of_asio", "krps / Asio"), ("krps_of_curl", "krps / curl"),
           ("wall_s", "wall_s"), ("rss_mib", "MiB"), ("threads", "threads"), ("descriptors", "descriptors"), ("s", "s"), ("lines", "lines"), ("more_than_bare", "beyond a bare await")]
PLOTTED = {"http": "cpu_us", "scale": "rss_mib", "deliver": "cpu_us", "include-cost": "s", "binary-size": "bytes"}
UNITS = {"ns": "nanoseconds of CPU time for one turn", "cpu_us": "microseconds of CPU time for one request", "s": "seconds of CPU time",
         "rss_mib": "MiB of memory at most",
         "bytes": "bytes of code and unwinding tables"}


def wrapped(text, indent=""):
    """Prose in lines of at most WIDTH; what follows the first line is indented."""
    return textwrap.fill(" ".join(text.split()), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def todays_names(line):
    for key in ("who", "text"):
        for old, new in RENAMED.items():
            if key in line and new not in line[key]:
                line[key] = line[key].replace(old, new)
    return line


def read(path):
    with open(path, encoding="utf-8") as file:
        lines = [todays_names(json.loads(line)) for line in file if line.strip()]
    topics = {}
    for line in lines:
        topics.setdefault(line["topic"], {"run": None, "case": [], "goal": [], "note": []})
        if line["kind"] == "run":
            topics[line["topic"]]["run"] = line
        else:
            topics[line["topic"]][line["kind"]].append(line)
    return {t: topics[t] for t in list(TOPICS) + sorted(set(topics) - set(TOPICS)) if t in topics}


def shown(value):
    if value is None:
        return ""
    size = abs(value)
    if size < 0.005:
        return "0"
    return f"{value:,.0f}".replace(",", " ") if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def groups(cases):
    found = {}
    for case in cases:
        found.setdefault(case["group"], []).append(case)
    return found


def ours(who):
    return who.startswith(("again", "deliver", "retry", "timeout", "guard", "limit", "rate", "catching", "when_", "hedge", "fallback", "sink"))


def table(cases):
    columns = [(key, title) for key, title in COLUMNS if any(key in c for c in cases)]
    lines = ["| | | " + " | ".join(title for _, title in columns) + " |", "|---|---|" + "--:|" * len(columns)]
    for group, members in groups(cases).items():
        for i, c in enumerate(members):
            name = f"**{c['who']}**" if ours(c["who"]) else c["who"]
            lines.append(f"| {group if i == 0 else ''} | {name} | " + " | ".join(shown(c.get(key)) for key, _ in columns) + " |")
    return "\n".join(lines)


def figure(topic, cases, metric):
    """Bars, one group under the other, each group to its own scale: what is compared stands in one group."""
    row, left, width, y = 20, 250, 330, 46
    parts = [f'<text x="8" y="18" font-size="14" font-weight="bold">{escape(topic)}: {UNITS[metric]}; less is better</text>']
    for group, members in groups(cases).items():
        members = [c for c in members if metric in c]
        if not members:
            continue
        most = max(c[metric] for c in members) or 1
        parts.append(f'<text x="8" y="{y + 4}" font-weight="bold">{escape(group)}</text>')
        y += row
        for c in members:
            length = max(1, width * c[metric] / most)
            color = "#1f77b4" if ours(c["who"]) else "#b0b0b0"
            parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{escape(c["who"])}</text>')
            parts.append(f'<rect x="{left}" y="{y - 7}" width="{length:.0f}" height="14" fill="{color}"/>')
            parts.append(f'<text x="{left + length + 6:.0f}" y="{y + 4}">{shown(c[metric])}</text>')
            y += row
        y += 8
    with open(os.path.join(FIGURES, f"bench-{topic}.svg"), "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 {y}" width="660" height="{y}" '
                  'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")


def goals(topics):
    lines = ["| topic | what | measured | goal | |", "|---|---|--:|--:|---|"]
    for topic, t in topics.items():
        for g in t["goal"]:
            sign = "≥" if g["at_least"] else "≤"
            lines.append(f"| {topic} | {g['text']} | {shown(g['value'])} | {sign} {shown(g['limit'])} | {'met' if g['met'] else '**missed**'} |")
    return "\n".join(lines)


# Why a goal is missed, by topic and the beginnings of its text.
OBSTACLES = [
    ("retry", ("success at the 4th attempt",),
     "A failed attempt is classified, recorded in the trace, and its error is kept until the next attempt begins. The loop by hand throws "
     "all of that away. The loop of a retry is also compiled once for all operations: that halves the code of each and costs some calls."),
    ("retry", ("success at once",),
     "A policy without any bound in time, which no user has, takes the same path as every other: one loop of named states, some 200 "
     "instructions for a success. A shorter path of its own was taken out, because the *usual policy* gains nothing from it."),
    ("retry", ("classifier",),
     "An attempt under a bound has its own stop source and deadline, which are linked to the caller's and taken back, and a timer that is "
     "armed and disarmed; two readings of the clock are 45 ns on this machine."),
    ("retry", ("catching",), "Nearly all of it is spent in the unwinder, in both cases."),
    ("combinators", ("retry.observe",),
     "An observer is told how long the attempt took. That needs two readings of the clock, which alone are more than the goal."),
    ("combinators", ("timeout", "guard", "rate"),
     "Half of it or more is a reading of the clock (see *steady_clock::now, twice*). The rest is the context of the attempt with its own "
     "stop source and deadline, or the lock-free state that threads share."),
    ("combinators", ("retry.budget", "retry.breaker", "limit"),
     "State that threads share takes locked instructions, about 5 ns each. State that ages takes a reading of the clock."),
    ("combinators", ("retry around retry",), "Two state machines in one frame, each with its copy of a policy."),
    ("timers", ("",), "The frame of a sleeping coroutine, which the compiler lays out."),
    ("asio", ("a retry",),
     "Of some 1200 instructions that a retry adds, 300 are the retry. The rest is what Asio's composed operations do: an initiation, a "
     "look-up of our service in the context, two handlers that are type-erased, and a post of the result. Our turn on the executor is two "
     "atomic operations and a reading of the clock."),
    ("asio", ("one wait",), "Where the timers are far apart, each is an alarm of Asio's, which is a system call, in both cases."),
    ("http", ("16 in flight, over Beast", "64 in flight, over Beast"),
     "The system calls are the same, and so is the time in the kernel. Outside of it the client by hand executes 9 700 instructions for a "
     "request, half of them in the search for the end of the head. Ours executes about twice as many: Beast's parser takes 5 000, the "
     "header fields as strings and the response 3 000, the request with its checks and its head 5 000, and the attempt with its bounds the "
     "rest. Beast by hand executes more."),
    ("deliver", ("16 in flight: events per second with", "64 in flight: events per second with"),
     "Two processors are shared with nginx, and both are busy: `deliver` uses 29 µs of them for an event without a journal and 69 µs with "
     "one; the goal leaves it some 40. The journal's thread takes 21 µs: SQLite inserts the row and its payload, reads them and ends the row, "
     "and the log is written and synced. The loop takes 16 µs more than without: it copies each event three times and allocates for "
     "two calls of the store, their results and a lease; the other threads are woken more often. Leases are in memory alone, which saved a "
     "change of three."),
    ("deliver", ("",),
     "`deliver` parses each event, makes its key, and writes a result; one thread reads, one runs the loop with the transport, and one "
     "writes, so that a slow pipe holds up no delivery. They share two processors with nginx. The program over libcurl has one thread and "
     "does none of that."),
    ("scale", ("",),
     "Memory: a buffer of 2 KiB for each connection, its attempt, the coroutine with its retry, and the response."),
    ("http", ("16 in flight: CPU with", "64 in flight: CPU with"),
     "Noise: a retry adds some 300 instructions to a send (see retry, *usual policy*), and the rounds of this machine differ by several "
     "percent."),
    ("http", ("16 in flight:", "64 in flight:"),
     "A response crosses from a worker's thread to the loop's thread, and the next send crosses back. A shared loop "
     "(`run_loop::share_with_workers`) saves both."),
    ("http", ("",), "Noise of a machine on which client and server share two processors: other runs are on the other side of the goal."),
    ("sink", ("",),
     "An event waits for its turn in the order of its key, and its result is recorded. The rounds differ by several percent."),
    ("include-cost", ("",),
     "Beyond durations and clocks the header needs `<string>` for the standard's exceptions, and `<vector>` and `<variant>` for the "
     "interfaces of `when_all` and `when_any`. The rest is our own templates. Only modules or precompiled headers would remove that."),
    ("binary-size", ("",),
     "Starting an attempt, inspecting its result and making the failure depend on the types; everything else is compiled once."),
]


def obstacles(topics):
    found = {}
    for topic, t in topics.items():
        for g in t["goal"]:
            if g["met"]:
                continue
            why = next((o[2] for o in OBSTACLES if o[0] == topic and g["text"].startswith(o[1])), None)
            if why is None:
                sys.exit(f"page.py: OBSTACLES says nothing of the missed goal '{topic}: {g['text']}'")
            found.setdefault((topic, why), []).append(g["text"])
    if not found:
        return ""
    return "\nWhy the missed goals are missed:\n\n" + "\n".join(
        wrapped(f"- {topic}, *{'*, *'.join(texts)}*: {why}", "  ") for (topic, why), texts in found.items()) + "\n"


def peers_that_win(topics):
    """Every case that is cheaper than the cheapest of ours in its group, and not only by noise."""
    lines = []
    for topic, t in topics.items():
        if topic == "combinators":
            continue  # what is compared there are ours with one another
        metric = PLOTTED.get(topic, "ns")
        for group, members in groups(t["case"]).items():
            mine = min((c for c in members if ours(c["who"]) and metric in c), key=lambda c: c[metric], default=None)
            if mine is None:
                continue
            for c in members:
                if not ours(c["who"]) and metric in c and c[metric] < 0.97 * mine[metric]:
                    lines.append(wrapped(f"- {topic}, {group}: *{c['who']}* takes {c[metric] / mine[metric]:.2f} of what *{mine['who']}* "
                                         f"takes ({metric}).", "  "))
    return "\n".join(lines) or "- None in this run."


def machine(run):
    return f"{run['cpu']}, {run['threads']} threads, {run['system']}; {run['compiler']}; {run['date'][:10]}"


def main(paths):
    runs = [read(p) for p in paths]
    first = runs[0]
    os.makedirs(FIGURES, exist_ok=True)
    run = next(iter(first.values()))["run"]
    intro = wrapped(f"""What the library costs beside its peers and beside the same thing written by hand, measured in one program. Less is
        better in every table and figure but in the columns whose names begin with *krps*. This page and its figures are made by `bench/tools/page.py` from the
        results in `bench/results`: {', '.join('`' + os.path.basename(p) + '`' for p in paths)}.""")
    how = [
        """The cases of a topic take turns in short rounds, so that a disturbance hits all of them alike. The tables show the median and the
        least of the rounds. A ratio is taken round by round, and the median of the ratios is compared with the goal. Absolute numbers
        change from run to run and from machine to machine; ratios change far less.""",
        """*ns* is CPU time of the measuring thread for one turn (timers: of the process; http: wall time; scale and deliver measure other processes). Allocations and bytes are counted
        by a replaced `operator new` in a separate run. Instructions are the processor's own count where the kernel allows it, else
        callgrind's, and so are exact.""",
        "Operations are not inlined into the code that awaits them: real operations are not inlined either.",
    ]
    guarded = wrapped("""Tests guard counts and not times: `tests/cost` asserts allocations, sizes of frames and awaiters, and instructions under
        callgrind, in every test run with g++ 12.""")
    text = [f"""# Performance

{intro}

{wrapped(f"Machine: {machine(run)}; `-O2 -DNDEBUG`.")}

## How it is measured

{chr(10).join(wrapped("- " + " ".join(line.split()), "  ") for line in how)}

To repeat it on a bare Debian 12 (other systems: see `./dev help`):

```sh
./dev bench --json bench/results/mine.jsonl      # everything: some minutes; --quick: a first look
./dev bench retry                                # one topic
CXX=clang++-19 ./dev bench                       # in a fresh checkout: the compiler belongs to the build folder
bench/tools/page.py bench/results/mine.jsonl     # this page from it
```

{guarded}

## Goals

{goals(first)}
{obstacles(first)}"""]
    for path, other in zip(paths[1:], runs[1:]):
        text.append(f"### {os.path.basename(path)}: {machine(next(iter(other.values()))['run'])}\n\n{goals(other)}\n{obstacles(other)}")
    why = """A part that knows less can do less. The textbook task cannot be stopped and cannot throw. A loop written in its caller needs no
        frame. libcurl's multi interface and the client by hand over Boost.Asio read their sockets on the loop's thread, so they need no
        way to a worker and back; that way is the price of a blocking library, and `run_loop::share_with_workers` saves about half of it. `retry`
        brings the machinery of waits, bounds, stops and traces into the program, which a loop of four lines does not have."""
    text.append(f"""## Where a peer wins

{peers_that_win(first)}

{wrapped(why)}
""")
    for topic, t in first.items():
        metric = PLOTTED.get(topic, "ns")
        figure(topic, t["case"], metric)
        notes = "".join("\n" + wrapped("- " + n["text"], "  ") for n in t["note"])
        text.append(f"## {topic}\n\n{wrapped(TOPICS.get(topic, ''))}\n\n{table(t['case'])}\n{notes}\n\n![{topic}: {metric}](figures/bench-{topic}.svg)\n")
    with open(PAGE, "w", encoding="utf-8") as out:
        out.write("\n".join(text))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
