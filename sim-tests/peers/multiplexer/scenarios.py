"""Runs every scenario of `yamux_peer` between two peer programs, in both roles.

    scenarios.py OURS NAME COMMAND...

OURS is our program, COMMAND starts the other one. Prints a line for each run, and exits with 1 if one failed.
"""

import json
import subprocess
import sys

SCENARIOS = [
    "echo",
    "reverse-echo",
    "sink",
    "source",
    "half-close",
    "open-many",
    "slow-reader",
    "issue-133",
    "issue-133-long",
]


def start(command, *arguments):
    return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    """Returns what a peer said at the end: an empty text if all was as expected."""
    try:
        output, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "it runs for longer than 60 s"
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    done = events[-1] if events and events[-1].get("event") == "done" else {}
    if process.returncode == 0 and done.get("ok"):
        return ""
    return done.get("reason") or errors.strip()[-300:] or f"exit code {process.returncode}"


def run(listener, connector, scenario):
    listening = start(listener, "--listen", "127.0.0.1:0", "--scenario", scenario)
    address = ""
    for line in listening.stdout:
        event = json.loads(line)
        if event.get("event") == "listening":
            address = event["addr"]
            break
    if not address:
        return {"listener": finish(listening) or "it does not listen"}
    connecting = start(connector, "--connect", address, "--scenario", scenario)
    return {"connector": finish(connecting), "listener": finish(listening)}


def main():
    ours, name, theirs = [sys.argv[1]], sys.argv[2], sys.argv[3:]
    failed = False
    for scenario in SCENARIOS:
        for listens, listener, connector in ((name, theirs, ours), ("ours", ours, theirs)):
            problems = {role: text for role, text in run(listener, connector, scenario).items() if text}
            failed |= bool(problems)
            print(f"{name}: {scenario}, {listens} listens: {problems or 'ok'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
