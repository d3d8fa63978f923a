"""Kill fits and attacks, stop them at every moment, and look what is left.

``python -m tests.trials`` prints a Markdown table and ends with 0 where nothing differs, is torn or
hangs. It takes about half an hour; with ``--kills 5 --moments 5`` a few minutes.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers.processes import ROOT
from tests.trials.commands import COMMANDS, differences, left, torn, victim_of
from tests.trials.forks import Fork
from tests.trials.moments import MOMENTS, SENT

HANGS = 150  # seconds
WITHIN = 20  # seconds from SIGTERM to the end


def prepare(base):
    """Train the victim of the attacks."""
    folder = base / "victim"
    folder.mkdir()
    fit = [each if not each.startswith("--name") else "--name=demo" for each in COMMANDS["fit"]]
    assert Fork(folder, fit).wait(HANGS) == [0], (folder / "log.txt").read_text()
    return folder


def place_for(base, name, verb, victim):
    folder = base / name
    folder.mkdir()
    if verb == "attack":
        shutil.copytree(victim_of(victim), victim_of(folder))
    return folder


def kill_trials(base, verb, world, kills, victim, draws):
    """Kill runs at random moments and let them go on; return what was counted, and what differs."""
    whole = place_for(base, f"{verb}-{world}", verb, victim)
    started = time.monotonic()
    assert Fork(whole, COMMANDS[verb], world).wait(HANGS) == [0] * world, whole
    length = time.monotonic() - started
    expected = left(verb, whole)
    count = {"ended before": 0, "torn": 0, "hangs": 0, "differences": 0}
    said = []
    for number in range(kills):
        folder = place_for(base, f"{verb}-{world}-{number}", verb, victim)
        run = Fork(folder, COMMANDS[verb], world)
        if run.wait(draws.uniform(0.1, length)) is not None:
            count["ended before"] += 1
        run.kill()
        damaged = torn(folder)
        again = Fork(folder, [*COMMANDS[verb], "--ckpt_path=last"], world)
        statuses = again.wait(HANGS)
        if statuses is None:
            again.kill()
            count["hangs"] += 1
            said.append(f"{folder}: hangs")
            continue
        damaged += torn(folder)
        found = differences(left(verb, folder), expected) if statuses == [0] * world else statuses
        count["torn"] += bool(damaged)
        count["differences"] += bool(found)
        said += damaged + [f"{folder}: {each}" for each in found]
        if not found and not damaged:
            shutil.rmtree(folder)
    return count, said


def moment_trials(base, verb, world, moments, victim, *, group):
    """Send SIGTERM at each moment; return what was counted, and what went wrong."""
    count = {"tried": 0, "not 143": 0, "later than 20 s": 0, "torn": 0}
    said, slowest = [], 0.0
    for number, moment in enumerate(moments):
        folder = place_for(base, f"moment-{verb}-{world}-{group}-{number}", verb, victim)
        variables = {"TRIAL_MOMENT": moment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        variables |= {"TRIAL_GROUP": "1"} if group else {}
        line = [*COMMANDS[verb], f"--trainer.devices={world}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.trials.moments", *line], cwd=folder,
            env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        log = []
        for each in process.stdout:
            log.append(each)
            if SENT in each:
                break
        sent = time.monotonic()
        try:
            log.append(process.communicate(timeout=HANGS)[0])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            log.append(process.communicate()[0])
        took = time.monotonic() - sent
        slowest = max(slowest, took)
        damaged = torn(folder)
        count["tried"] += 1
        count["not 143"] += process.returncode != 143
        count["later than 20 s"] += took > WITHIN
        count["torn"] += bool(damaged)
        if process.returncode != 143 or took > WITHIN or damaged:
            said.append(f"{moment}: status {process.returncode} after {took:.1f} s; {damaged}")
            said.append("".join(log)[-1500:])
        else:
            shutil.rmtree(folder)
    return {**count, "slowest, s": round(slowest, 1)}, said


def table(rows):
    """Return rows of equal keys as Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, r.values())) + " |" for r in rows)])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25, help="kills of each kind of run")
    parser.add_argument("--moments", type=int, default=11, help="moments at which SIGTERM is sent")
    parser.add_argument("--verbs", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--worlds", nargs="+", type=int, default=[1, 2], help="processes")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    options = parser.parse_args()
    draws, said = random.Random(options.seed), []
    kills, stops = [], []
    with tempfile.TemporaryDirectory() as place:
        victim = prepare(Path(place))
        kinds = [(verb, world) for verb in options.verbs for world in options.worlds]
        for verb, world in kinds if options.kills else []:
            found = kill_trials(Path(place), verb, world, options.kills, victim, draws)
            kills.append({"run": verb, "processes": world, "kills": options.kills, **found[0]})
            said += found[1]
        if kills:
            print(table(kills), flush=True)
        for verb, world in kinds if options.moments else []:
            moments = [each for each in MOMENTS[verb] if world > 1 or each != "launch"]
            moments = draws.sample(moments, min(options.moments, len(moments)))
            for group in (False, True)[: 1 if world == 1 else 2]:
                found = moment_trials(Path(place), verb, world, moments, victim, group=group)
                signalled = "all processes" if group else "the first process"
                stops.append({"run": verb, "processes": world, "SIGTERM to": signalled, **found[0]})
                said += found[1]
        if stops:
            print(f"\n{table(stops)}")
        print("\n".join(said))
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
