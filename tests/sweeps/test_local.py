import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from lightning_hash.sweeps import Run, Sweep, local
from lightning_hash.sweeps.record import finished, folder_of, log_of, made_by

FAKE = Path(__file__).with_name("fake.py")


def fake_command(run, root, trainer, *, trust=False):
    needs = [str(made_by(need, root)) for need in run.needs]
    folder, do = str(folder_of(run, root)), run.options.get("do", "")
    return [sys.executable, "-S", str(FAKE), run.verb, folder, do, *needs]


@pytest.fixture(autouse=True)
def _without_torch(monkeypatch):
    monkeypatch.setattr(local, "command_of", fake_command)


def fit(title="victim", **options):
    return Run(title, "fit", (), {"title": title, **options})


def attack(victim, title="hag", **options):
    return Run(title, "attack", (), {"title": title, "model.victim": victim, **options})


def sweep(root, *runs, **options):
    """Return the status and what was printed."""
    output = io.StringIO()
    console = Console(file=output, width=300, highlight=False)
    return Sweep(root, console=console, **options).run(runs), output.getvalue()


def trail(root):
    return (root / "trail.txt").read_text().split()


def test_runs_each_behind_its_needs_and_finished_ones_not_again(tmp_path):
    victim = fit()
    runs = [victim, attack(victim, "a"), attack(victim, "b")]
    status, text = sweep(tmp_path, *runs)
    assert status == 0
    assert trail(tmp_path) == [run.digest for run in runs]
    assert f"[2/3] attack a ({runs[1].digest})" in text
    assert "[3/3] done in" in text
    assert "3 runs made, 0 failed" in text
    status, text = sweep(tmp_path, *runs, attack(victim, "c"))
    assert "4 runs below" in text
    assert "3 of them finished before" in text
    assert len(trail(tmp_path)) == 4


def test_a_training_without_validation_has_its_last_epoch(tmp_path):
    """As ``fit`` tests it; a best epoch that is not there is not looked for."""
    victim = fit(do="not validated")
    assert made_by(victim, tmp_path).name == "best.ckpt"
    status, text = sweep(tmp_path, victim, attack(victim))
    assert (status, made_by(victim, tmp_path).name) == (0, "last.ckpt")
    assert "2 runs made, 0 failed" in text
    assert "2 of them finished before" in sweep(tmp_path, victim, attack(victim))[1]


def test_the_newest_finished_version_is_taken(tmp_path):
    """Not what was written last: a copy to another disk may change the times."""
    victim = fit()
    run = attack(victim)
    sweep(tmp_path, victim, run)
    first = made_by(run, tmp_path)
    text = (first / "results.json").read_text()
    rows = json.loads(text)
    stopped = [{**row, "iteration": min(row["iteration"], 4)} for row in rows]
    for version, content in ((9, text), (10, text), (11, json.dumps(stopped)), (12, "[]")):
        folder = first.with_name(f"version_{version}")
        folder.mkdir()
        (folder / "results.json").write_text(content)
        os.utime(folder / "results.json", (20 - version, 20 - version))
    assert made_by(run, tmp_path).name == "version_10"


def test_a_failure_is_named_and_the_others_go_on(tmp_path):
    bad, good = fit("bad", do="fail"), fit("good")
    lost = attack(bad, "lost")
    status, text = sweep(tmp_path, bad, lost, attack(lost, "far"), good, attack(good, "made"))
    assert status == 1
    log = log_of(bad, tmp_path)
    assert f"failed: fit bad ({bad.digest}): status 1, see {log}: error: bits must be" in text
    assert "failed: attack lost" in text
    assert "it needs bad, which is not finished" in text
    assert "it needs lost, which is not finished" in text
    assert "2 runs made, 3 failed" in text
    assert log.read_text().startswith(f"$ {sys.executable} -S")
    assert finished(good, tmp_path)


def test_milestones_alone_are_no_result(tmp_path):
    victim = fit()
    status, text = sweep(tmp_path, victim, attack(victim, do="unfinished"))
    assert status == 1
    assert "results.json is missing, although the run ended with status 0" in text


def test_an_attack_that_was_stopped_early_is_not_finished(tmp_path):
    victim = fit()
    run = attack(victim, do="stop early")
    status, text = sweep(tmp_path, victim, run)
    assert status == 1
    assert "results.json: stopped at iteration 4 of 9; the same command goes on" in text
    assert not finished(run, tmp_path)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        ("change", "attack.step.lr is 0.1 in one and 0.2 in another"),
        ("other data", 'data.dataset is "photos" in one and "blobs" in another'),
    ],
)
def test_rows_that_are_not_of_one_attack_are_no_result(tmp_path, do, message):
    victim = fit()
    run = attack(victim, do=do)
    status, text = sweep(tmp_path, victim, run)
    assert status == 1
    assert f"results.json: its rows are not of one attack: {message}; remove " in text
    assert not finished(run, tmp_path)


def test_a_transfer_has_rows_of_several_attacks(tmp_path):
    victim = fit()
    hag = attack(victim)
    run = Run("transfer", "transfer", (), {"perturbations": [hag], "victims": [victim]})
    assert sweep(tmp_path, victim, hag, run)[0] == 0
    settings = record_of(run, tmp_path)["settings"]
    assert [each["name"] for each in settings["attack"]] == ["dhta", "hag"]


def record_of(run, root):
    return json.loads((root / "sweep" / f"{run.digest}.json").read_text())


def test_rows_are_compared_with_those_of_an_earlier_completion(tmp_path):
    """One configuration must mean one attack, also where a default of the program has changed."""
    victim = fit()
    run = attack(victim, do="other now")
    assert sweep(tmp_path, victim, run)[0] == 0
    assert record_of(run, tmp_path)["settings"] == {
        "attack": {"name": "hag", "iterations": 9, "step": {"class": "SGD", "lr": 0.1, "beta": 2}},
        "data": {"dataset": "blobs"}, "ranking": {"top_k": 5},
    }  # fmt: skip
    (made_by(run, tmp_path) / "perturbations.safetensors").unlink()
    for tries in (3, 4):  # a second try does not hide it
        status, text = sweep(tmp_path, victim, run)
        assert status == 1
        assert (
            f"attack.step.beta is {tries}, but was 2 when this configuration was finished" in text
        )
        assert not finished(run, tmp_path)
    (tmp_path / "sweep" / f"{run.digest}.json").unlink()
    assert sweep(tmp_path, victim, run)[0] == 0
    assert record_of(run, tmp_path)["settings"]["attack"]["step"]["beta"] == 5


@pytest.mark.parametrize("change", ["results", "perturbations", "record", "configuration"])
def test_what_is_not_as_it_was_left_is_made_anew(tmp_path, change):
    victim, other = fit(), fit("other")
    run, untouched = attack(victim), attack(other)
    sweep(tmp_path, victim, other, run, untouched)
    made, record = made_by(run, tmp_path), tmp_path / "sweep" / f"{run.digest}.json"
    if change == "results":
        (made / "results.json").write_text("[]")
    elif change == "perturbations":
        (made / "perturbations.safetensors").unlink()
    elif change == "record":
        record.unlink()
    else:  # the folder's name alone says nothing
        content = json.loads(record.read_text())
        content["configuration"]["options"]["title"] = "another"
        record.write_text(json.dumps(content))
    assert not finished(run, tmp_path)
    assert sweep(tmp_path, victim, other, run, untouched)[0] == 0
    assert trail(tmp_path)[4:] == [run.digest]


def test_versions_that_were_killed_are_gone_when_the_run_is_whole(tmp_path):
    victim = fit()
    run = attack(victim, do="die once")
    status, text = sweep(tmp_path, victim, run)
    assert (status, "ended with status 9" in text) == (1, True)
    assert sweep(tmp_path, victim, run)[0] == 0
    assert [path.name for path in folder_of(run, tmp_path).iterdir()] == ["version_1"]


def test_a_half_trained_victim_is_no_victim(tmp_path):
    """Its best.ckpt is there: what was stopped says so by its status."""
    victim = fit(do="stopped once")
    run = attack(victim)
    status, text = sweep(tmp_path, victim, run)
    assert status == 1
    assert made_by(victim, tmp_path).read_text() == "half trained"
    assert f"failed: fit victim ({victim.digest}): status 143" in text
    assert "failed: attack hag" in text
    assert not finished(victim, tmp_path)
    assert sweep(tmp_path, victim, run)[0] == 0
    assert trail(tmp_path) == [victim.digest, victim.digest, run.digest]
    assert made_by(victim, tmp_path).read_text() == "trained"


def test_an_attack_on_weights_that_are_gone_is_thrown_away(tmp_path):
    victim = fit()
    run = attack(victim)
    sweep(tmp_path, victim, run)
    old = made_by(run, tmp_path) / "checkpoint of the old weights"
    old.touch()
    made_by(victim, tmp_path).unlink()
    assert sweep(tmp_path, victim, run)[0] == 0
    assert trail(tmp_path) == [victim.digest, run.digest] * 2
    assert not old.exists()


def test_the_environment_shares_out_the_processors(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = [Sweep(tmp_path, jobs)._environment["OMP_NUM_THREADS"] for jobs in (1, 3, 16)]
    assert threads == ["8", "2", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert Sweep(tmp_path)._environment["OMP_NUM_THREADS"] == "5"


def test_two_at_a_time(tmp_path):
    """Each waits for the other to start."""
    assert sweep(tmp_path, fit("a", do="meet"), fit("b", do="meet"), jobs=2)[0] == 0
    assert len(trail(tmp_path)) == 2


def when(condition, action):
    def watch():
        while not condition():
            time.sleep(0.02)
        action()

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_run_and_the_same_command_goes_on(tmp_path, signum):
    run, later = fit(do="sleep"), fit("later")
    asleep = folder_of(run, tmp_path) / "asleep"
    before = signal.getsignal(signum)
    when(asleep.exists, lambda: os.kill(os.getpid(), signum))
    status, text = sweep(tmp_path, run, later)
    assert status == 128 + signum
    assert f"stopped by {signal.Signals(signum).name}; the same command goes on" in text
    assert trail(tmp_path) == [run.digest]
    assert signal.getsignal(signum) is before
    assert sweep(tmp_path, run, later)[0] == 0
    assert trail(tmp_path) == [run.digest, run.digest, later.digest]


def test_the_announcement_of_a_jobs_end_is_left_to_the_run(tmp_path):
    run = fit(do="sleep")
    asleep = folder_of(run, tmp_path) / "asleep"
    when(asleep.exists, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert sweep(tmp_path, run)[0] == 0


def test_a_sweep_waits_for_the_run_of_one_that_was_killed(tmp_path):
    """The run outlives it, and two processes must not write into one folder."""
    run = fit(do="sleep")
    code = (
        "import sys; from pathlib import Path\n"
        "from lightning_hash.sweeps import Run, Sweep, local\n"
        f"local.command_of = lambda *_, **__: {fake_command(run, tmp_path, None)!r}\n"
        f"Sweep(Path({str(tmp_path)!r})).run([Run('victim', 'fit', (), {dict(run.options)!r})])\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    asleep = folder_of(run, tmp_path) / "asleep"
    while not asleep.exists():
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert not finished(run, tmp_path)
    status, text = sweep(tmp_path, run)
    assert status == 0
    assert "is being made by another process: waiting" in text
    assert (folder_of(run, tmp_path) / "best.ckpt").exists()


def test_what_another_sweep_makes_meanwhile_is_not_made_again(tmp_path):
    run = fit()
    sweep(tmp_path, run)
    record = tmp_path / "sweep" / f"{run.digest}.json"
    kept = record.read_bytes()
    record.unlink()
    with (tmp_path / "sweep" / f"{run.digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def end():
            record.write_bytes(kept)
            fcntl.flock(lock, fcntl.LOCK_UN)

        threading.Timer(0.3, end).start()
        assert sweep(tmp_path, run)[0] == 0
    assert len(trail(tmp_path)) == 1


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        Sweep(tmp_path, jobs=0)
    with pytest.raises(FileNotFoundError, match=r"trainer: config gpu\.yaml does not exist"):
        Sweep(tmp_path, trainer=Path("gpu.yaml"))


@pytest.mark.parametrize("content", ["", '{"title": ', "[1]", "\0"])
def test_a_damaged_record_is_named_and_blocks_no_other_run(tmp_path, content):
    runs = [fit("one"), fit("two")]
    assert sweep(tmp_path, *runs)[0] == 0
    record = tmp_path / "sweep" / f"{runs[0].digest}.json"
    record.write_text(content)
    with pytest.warns(UserWarning, match=f"{record.name} is no record of a run .* it is run again"):
        status, text = sweep(tmp_path, *runs)
    assert status == 0
    assert "1 of them finished before" in text
    assert trail(tmp_path) == [runs[0].digest, runs[1].digest, runs[0].digest]
    assert finished(runs[0], tmp_path)


@pytest.mark.parametrize("content", ["", '[{"schema": 2', '[{"schema": 1}]', '[{"value": NaN}]'])
def test_torn_results_of_a_version_are_left_out(tmp_path, content):
    victim = fit()
    run = attack(victim)
    bad = folder_of(run, tmp_path) / "version_0"
    assert sweep(tmp_path, victim)[0] == 0
    bad.mkdir(parents=True)
    (bad / "results.json").write_text(content)
    with pytest.warns(UserWarning, match=r"left out: .*version_0/results\.json"):
        assert made_by(run, tmp_path) == bad.parent


@pytest.mark.parametrize(
    ("visible", "jobs", "dealt"),
    [
        ("3,5,7", 2, {"3,7", "5"}), ("GPU-a,GPU-b", 2, {"GPU-a", "GPU-b"}), ("4", 2, {"4"}),
        ("", 2, {""}), ("3,5", 1, {"3,5"}),
    ],
)  # fmt: skip
def test_devices_are_dealt_out_to_runs_at_a_time(tmp_path, monkeypatch, visible, jobs, dealt):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    runs = [fit(str(number), do="name its devices") for number in range(6)]
    assert sweep(tmp_path, *runs, jobs=jobs)[0] == 0
    found = {(folder_of(run, tmp_path) / "devices.txt").read_text() for run in runs}
    assert found <= dealt
    assert (len(found) == 1) == (len(dealt) == 1 or jobs == 1)
