"""Places that cannot be written to end a command before its work; files have the umask's mode."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from pytorch_lightning.callbacks import Callback

from lightning_hash.__main__ import main
from lightning_hash.commands import transfer
from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.encode import encode
from lightning_hash.engine.callbacks import Curves, RetrievalImages, RunFolder
from lightning_hash.results.rows import read_results
from lightning_hash.results.runs import find_runs, has_ended
from lightning_hash.utils import whole_file
from tests.helpers.attacks import make, trainer
from tests.helpers.commands import SHORT_FIT, SMALL_ATTACK, SMALL_DATA

CPU = ["--trainer.accelerator=cpu"]
FIT, ATTACK = ["fit", *SMALL_DATA, *SHORT_FIT], ["attack", *SMALL_ATTACK, "--trainer.max_epochs=2"]
ENCODE = ["encode", *SMALL_DATA, *CPU]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*FIT, "--checkpoints=file/c"], r"checkpoints \S*file/c/demo cannot be written to (\S*f"),
        ([*FIT, "--runs=file"], "run folder file/fit/demo cannot be written to (file is a"),
        (
            ["test", *SMALL_DATA, *CPU, "--runs=file"],
            "run folder file/fit/demo cannot be written to (file is a",
        ),
        ([*ATTACK, "--runs=file/runs"], "run folder file/runs/attack/hag cannot be written to (fi"),
        ([*ENCODE, "--output=file/a.npy"], "output file/a.npy: its folder file cannot be written"),
        ([*ENCODE, "--output=a.npy"], "output a.npy cannot be written to (it is a folder); give a"),
        (["sweep", "papers/hag_fig2", "--runs=file"], "--runs file cannot be written to (file is"),
        (["sweep", "papers/hag_fig2", "--slurm=file/a.sh"], "--slurm file/a.sh: its folder file c"),
    ],
)
def test_a_place_is_tried_before_the_work(arguments, message, with_victim, monkeypatch, capsys):
    (with_victim / "file").write_text("")
    (with_victim / "a.npy").mkdir()

    def work(*_, **__):
        pytest.fail("worked before it knew where to write")

    monkeypatch.setattr("lightning_hash.models.HashNetwork.forward", work)
    assert main(arguments) == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    parts = message.split(r"\S*")
    assert error.startswith(f"error: {parts[0]}")
    assert all(part in error for part in parts)
    assert (with_victim / "file").read_text() == ""


def test_places_of_reports_and_transfers(tmp_path, blobs, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_attack(trainer(tmp_path / "run", 2, callbacks=[RunFolder()]), make(), blobs)
    (tmp_path / "file").write_text("")
    assert main(["report", "run", "--output", "file/page"]) == 1
    printed = capsys.readouterr()
    assert printed.err == (
        "error: report file/page cannot be written to (file is a file); give another folder with "
        "--output\n"
    )
    assert printed.out == ""
    assert main(["report", "run", "--readme", "absent.md"]) == 1
    assert "--readme absent.md does not exist" in capsys.readouterr().err
    monkeypatch.setattr(transfer, "_find_data", lambda *_: None)
    monkeypatch.setattr(transfer, "as_victim", lambda _: None)
    line = ["--perturbations", "run", "--victims", "x", "--runs", "file", "--accelerator", "cpu"]
    assert main(["transfer", *line]) == 1
    assert "run folder file/transfer/transfer cannot be written to" in capsys.readouterr().err


@pytest.mark.slow
def test_the_next_run_removes_what_a_kill_has_left(with_victim):
    ended = subprocess.Popen(["true"])
    ended.wait()
    name = f".{{}}.{socket.gethostname()}.{ended.pid}.part"
    left = [
        Path("runs/attack/hag/version_0/checkpoints") / name.format("last.ckpt"),
        Path("runs/attack/hag/version_0/images/000003") / name.format("00001.png"),
        Path("runs/fit/demo") / name.format("config.yaml"),
        Path("checkpoints/demo") / name.format("best.ckpt"),
        Path("codes") / name.format("a.safetensors"),
        Path("runs/report/figures") / name.format("hag_fig2.png"),
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    kept = Path("checkpoints/demo/best.ckpt").read_bytes()
    assert main(ATTACK) == 0
    assert [path.exists() for path in left] == [False, False, True, True, True, True]
    assert main([*ENCODE, "--output=codes/a.safetensors"]) == 0
    assert main(["report", "runs"]) == 0
    assert [path.exists() for path in left] == [False, False, True, True, False, False]
    assert Path("checkpoints/demo/best.ckpt").read_bytes() == kept
    assert main(FIT) == 0
    assert not any(path.exists() for path in left)


def test_codes_from_python_try_their_place_first(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(IsADirectoryError, match=r"^output .*a\.txt cannot be written to"):
        encode("absent.ckpt", None, output=str(tmp_path / "a.txt"))


@pytest.mark.slow
def test_all_files_have_the_mode_of_the_umask(with_victim, capsys):
    before = os.umask(0o027)
    try:
        assert main([*FIT, "--name=other"]) == 0
        assert main(ATTACK) == 0
        assert main([*ENCODE, "--output=codes/a.safetensors"]) == 0
        assert main(["report", "runs"]) == 0
    finally:
        os.umask(before)
    made = [Path("runs"), Path("codes"), Path("checkpoints/other")]
    files = [path for root in made for path in root.rglob("*") if path.is_file()]
    modes = {oct(path.stat().st_mode & 0o777) for path in files}
    suffixes = {path.suffix for path in files}
    assert suffixes >= {".json", ".safetensors", ".png", ".yaml", ".ckpt", ".csv", ".tex", ".html"}
    assert modes == {"0o640"}
    assert not [path for path in files if path.name.startswith(".")]


def test_results_are_written_when_all_else_is_there(tmp_path, blobs, monkeypatch):
    class Looks(Callback):
        """Stands behind all others: is the run finished while there are files to come?"""

        def on_test_end(self, trainer, module):
            file = tmp_path / "results.json"
            seen.append(file.is_file() and has_ended(read_results(file)))

    seen = []
    callbacks = [RunFolder(), Curves(), RetrievalImages(queries=1, top=2), Looks()]
    run_attack(trainer(tmp_path, 2, callbacks=callbacks), make(), blobs)
    assert seen == [False]
    assert has_ended(read_results(tmp_path / "results.json"))
    # Another run in this folder that ends before its results leaves none that are not its own.
    monkeypatch.setattr(RunFolder, "teardown", lambda *_, **__: None)
    callbacks[0] = RunFolder()
    run_attack(trainer(tmp_path, 2, callbacks=callbacks), make(evaluate_at=[2]), blobs)
    assert seen == [False, False]
    with pytest.raises(FileNotFoundError, match="was stopped before its end; run it again"):
        find_runs([tmp_path])


def test_a_disk_that_is_nearly_full_is_warned_of(tmp_path, blobs, monkeypatch):
    monkeypatch.setattr(whole_file, "free_space", lambda path: 10_000)
    options = {"callbacks": [RunFolder()], "enable_checkpointing": True}
    with pytest.warns(UserWarning, match=r"0\.0 MB free, and about 0\.\d MB will be written"):
        run_attack(trainer(tmp_path, 2, **options), make(), blobs)
