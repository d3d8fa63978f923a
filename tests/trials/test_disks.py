import pytest

from tests.trials.disks import Trials, can_mount, make_victim


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disks")
    if not can_mount(folder):
        pytest.skip("needs the right to mount a tmpfs")
    make_victim(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["attack", "fit"])
def test_a_disk_that_fills_up(folder, verb):
    victim = folder / "checkpoints" / "demo" / "best.ckpt"
    trials = Trials(verb, folder, victim)
    places = [(0.02, False), (0.5, False), (0.9, False), (0.4, True), (0.7, True)]
    for share, timed in places:
        said, wrong = trials.trial(share, timed=timed, finished=folder / "other" / "runs")
        assert wrong == [], (share, timed)
        assert "MB free" in said or timed
