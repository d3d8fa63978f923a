"""Runs that a launcher starts several times."""

import pytest
from lightning_fabric.plugins.environments import LightningEnvironment

from lightning_hash.__main__ import main
from lightning_hash.commands.cli import HashCLI
from lightning_hash.engine.launched import check_launched, launched
from lightning_hash.engine.trainer import HashTrainer

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "a", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "6",
    "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511",
}  # fmt: skip
SLURM = {
    "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_JOB_ID": "7", "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "a", "SLURM_NODELIST": "a[0-1]",
}  # fmt: skip
LSF = {
    "LSB_JOBID": "12", "JSM_NAMESPACE_LOCAL_RANK": "0", "JSM_NAMESPACE_SIZE": "4",
    "JSM_NAMESPACE_RANK": "0",
}  # fmt: skip


@pytest.fixture
def variables(monkeypatch):
    def put(values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.mark.parametrize(
    ("found", "expected"),
    [({}, None), (TORCHRUN, ("torchrun", 6, 2)), (SLURM, ("SLURM", 8, 4)),
     ({**TORCHRUN, "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}, None),
     ({**SLURM, "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"}, None),
     ({**SLURM, "SLURM_JOB_NAME": "bash"}, None)],
)  # fmt: skip
def test_the_launchers_world(variables, found, expected):
    variables(found)
    assert launched() == expected


def test_processes_that_the_user_wants_started_here(variables):
    variables(SLURM)
    own = LightningEnvironment()
    assert launched([own]) is None
    check_launched(HashTrainer(accelerator="cpu", devices=1, logger=False, plugins=own))


def test_a_job_of_several_tasks_without_srun(variables, tmp_path):
    """The others would be waited for, for half an hour."""
    (tmp_path / "srun").touch(0o755)
    variables({**SLURM, "PATH": str(tmp_path)})
    with pytest.raises(ValueError, match=r"8 tasks, and this process would wait .* put srun"):
        launched()
    variables({"SLURM_STEP_NUM_TASKS": "8"})
    assert launched() == ("SLURM", 8, 4)


def test_the_world_of_lsf(variables, monkeypatch, tmp_path):
    from lightning_fabric.plugins.environments import lsf

    (tmp_path / "hosts").write_text("login\na\na\nb\nb\n")
    monkeypatch.setattr(lsf.socket, "gethostname", lambda: "b")
    variables({**LSF, "LSB_DJOB_RANKFILE": str(tmp_path / "hosts")})
    assert launched() == ("jsrun", 4, 2)
    assert launched().nodes == 2


@pytest.mark.parametrize(
    ("found", "message"),
    [({**SLURM, "SLURM_NTASKS_PER_NODE": ""}, "--ntasks-per-node in place of --ntasks"),
     ({**TORCHRUN, "LOCAL_WORLD_SIZE": "4"}, "6 processes, 4 of them on this node; start as many"),
     (TORCHRUN, r"make 1 processes, torchrun has started 6, .* leave both out, or give 2 and 3"),
     ({"OMPI_COMM_WORLD_SIZE": "2"}, "2 processes were started by mpirun, .* install mpi4py"),
     ({"PMI_SIZE": "3"}, "3 processes were started by mpirun"),
     ({**SLURM, "SLURM_JOB_NAME": "interactive", "SLURM_STEP_NUM_TASKS": "2"},
      "2 processes were started by srun, .* another --job-name"),
     ({"WORLD_SIZE": "2", "RANK": "1"}, "launcher that Lightning does not know, .* with torchrun")],
)  # fmt: skip
def test_several_whole_runs_are_refused(variables, monkeypatch, found, message):
    variables(found)
    if found.get("SLURM_NTASKS_PER_NODE") == "":
        monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
        with pytest.raises(ValueError, match=message):
            launched()  # before there is a Trainer, to which Lightning would say no in its own way
        return
    trainer = HashTrainer(accelerator="cpu", devices=1, logger=False)
    with pytest.raises(ValueError, match=message):
        check_launched(trainer)


@pytest.mark.parametrize(
    ("given", "sizes"),
    [([], (2, 3)), (["--trainer.devices=3"], (3, 3)), (["--trainer.num_nodes=6"], (2, 6)),
     (["--trainer.devices=1", "--trainer.num_nodes=6"], (1, 6))],
)  # fmt: skip
def test_the_command_line_takes_them(trained, variables, given, sizes, tmp_path):
    variables(TORCHRUN)
    line = [*given, "--trainer.accelerator=cpu", f"--runs={tmp_path}", f"--model.victim={trained}"]
    line[-1] += "/checkpoints/demo/best.ckpt"
    if sizes[0] * sizes[1] != 6:
        with pytest.raises(ValueError, match="torchrun has started 6"):
            HashCLI("attack", line)
        return
    trainer = HashCLI("attack", line).trainer
    assert (trainer.num_devices, trainer.num_nodes, trainer.world_size) == (*sizes, 6)
    assert type(trainer.strategy).__name__ == "QueryParallelStrategy"


def test_a_sweep_is_one_process(variables, tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("runs: {a: {verb: fit}}\nfull: [{run: a}]\n")
    variables(SLURM)
    assert main(["sweep", str(tmp_path / "a.yaml"), "--runs", str(tmp_path)]) == 1
    assert "sweep: SLURM has started 8 processes, and a sweep is one" in capsys.readouterr().err
