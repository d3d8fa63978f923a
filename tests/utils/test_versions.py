"""Folders of runs that start at once."""

from concurrent.futures import ThreadPoolExecutor

from pytorch_lightning.utilities import rank_zero_only

from lightning_hash.engine.loggers import RunLogger
from lightning_hash.utils.versions import take_version


def test_each_gets_its_own(tmp_path):
    (tmp_path / "version_3").mkdir()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(take_version, [tmp_path / "a"] * 40))
    assert sorted(int(each.name[8:]) for each in found) == list(range(40))
    assert take_version(tmp_path, 3).name == "version_4"


def test_the_first_process_of_a_run_takes_the_folder(tmp_path, monkeypatch):
    loggers = [RunLogger(tmp_path, name="attack/a") for _ in range(3)]
    assert not (tmp_path / "attack").exists()  # a run that fails before it writes leaves nothing
    assert [each.log_dir for each in loggers] == [
        str(tmp_path / "attack" / "a" / f"version_{number}") for number in range(3)
    ]
    assert loggers[1].log_dir.endswith("version_1")
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert RunLogger(tmp_path, name="attack/a").log_dir
    assert len(list((tmp_path / "attack" / "a").iterdir())) == 3
