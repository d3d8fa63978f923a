import json

import pytest
from PIL import Image

from lightning_hash.__main__ import main
from lightning_hash.data import FolderDataModule, ListDataModule, SamplePhotos
from lightning_hash.data.check import check_data


def picture(path, value, mode="RGB", **options):
    colour = value if mode != "RGB" else (value, 255 - value, 9)
    Image.new(mode, (9, 7), colour).save(path, **options)


@pytest.fixture
def clean(tmp_path):
    for number in range(9):
        picture(tmp_path / f"{number}.png", number)
    rows = [f"{number}.png {number % 2} {(number + 1) % 2}" for number in range(9)]
    for name, part in (("train", rows[:3]), ("query", rows[3:5]), ("database", rows[5:])):
        (tmp_path / f"{name}.txt").write_text("\n".join(part))
    return tmp_path


def append(path, *lines):
    path.write_text("\n".join([path.read_text(), *lines]))


def look(folder):
    check = check_data(ListDataModule(str(folder), size=8))
    return check, {(f.split, f.what): f for f in check.findings}


def test_clean_data(clean):
    check, found = look(clean)
    assert not found
    assert not check.wrong
    assert check.items == {"train": 3, "query": 2, "database": 4}
    assert check.labels["train"] == {"0": 1, "1": 2}
    assert check.labels["database"] == {"0": 2, "1": 2}


def test_an_item_of_a_folder_is_named_once(tmp_path):
    folder = tmp_path / "Mein Bestand"
    (folder / "Daten bank").mkdir(parents=True)
    (folder / "Daten bank" / "a.png").write_bytes(b"no picture")
    splits = dict.fromkeys(("train", "query", "database"), "Daten bank")
    found = check_data(FolderDataModule(str(folder), size=8, **splits)).findings
    unread = next(finding for finding in found if finding.what == "cannot be read")
    assert unread.examples[0].startswith(f"{folder}/Daten bank/a.png cannot be read: ")


def test_each_kind_of_dirt(clean):
    whole = (clean / "5.png").read_bytes()
    (clean / "cut.png").write_bytes(whole[:40])
    (clean / "copy.png").write_bytes(whole)
    picture(clean / "grey.png", 77, "L")
    exif = Image.Exif()
    exif[0x0112] = 3
    picture(clean / "turned.png", 99, exif=exif)
    append(
        clean / "database.txt",
        "cut.png 1 0", "gone.png 1 0", "", "grey.png 0 0", "turned.png 1 1", "6.png 0 1",
        "copy.png 1 0", "3.png 1 0", "0.png 1 0",
    )  # fmt: skip
    append(clean / "query.txt", "copy.png 0 1")
    check, found = look(clean)
    assert check.wrong
    got = {key: (f.count, f.wrong) for key, f in found.items()}
    assert got == {
        ("database", "cannot be read"): (2, True),
        ("database", "without a label"): (1, True),
        ("database", "path twice"): (1, True),
        ("database", "content twice, under another path"): (1, True),
        ("database", "not RGB"): (1, False),
        ("database", "turned by EXIF"): (1, False),
        ("query", "in the database set too"): (2, True),
        ("train", "in the database set too"): (1, False),
    }
    cut, gone = found["database", "cannot be read"].examples
    assert f"database.txt:5 {clean / 'cut.png'} cannot be read: " in cut
    assert gone == f"{clean}/database.txt:6 {clean / 'gone.png'} does not exist"
    assert "database.txt:8 " in found["database", "without a label"].examples[0]


def test_copies_under_another_name_between_splits(clean):
    (clean / "3.png").write_bytes((clean / "8.png").read_bytes())
    (clean / "4.png").write_bytes((clean / "0.png").read_bytes())
    _, found = look(clean)
    assert {key: f.wrong for key, f in found.items()} == {
        ("query", "content in the database set too, under another path"): True,
        ("query", "content in the train set too, under another path"): True,
    }


def test_command(clean, capsys):
    command = ["check-data", "--data=ListDataModule", f"--data.folder={clean}"]
    assert main(command) == 0
    assert "nothing wrong" in capsys.readouterr().out
    append(clean / "query.txt", "absent.png 1 0")
    assert main(command) == 1
    assert "cannot be read" in capsys.readouterr().out
    assert main([*command, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["wrong"] is True
    assert answer["items"]["query"] == 3
    assert answer["findings"][0]["examples"][0].startswith(f"{clean}/query.txt:3 ")


def test_items_that_are_left_out_cannot_be_checked(clean):
    with pytest.raises(ValueError, match="on_bad_image must be 'error' for a check, got 'skip'"):
        check_data(ListDataModule(str(clean), on_bad_image="skip"))


def test_lists_that_cannot_be_read_are_an_error_too(clean, capsys):
    (clean / "query.txt").write_text("3.png 1 2\n")
    assert main(["check-data", "--data=ListDataModule", f"--data.folder={clean}"]) == 1
    assert "query.txt:1: labels must be 0 or 1" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["check-data", f"--data={SamplePhotos.__name__}"])


def test_open_set_is_looked_at_with_its_own_labels(clean, capsys):
    picture(clean / "new.png", 200)
    (clean / "unseen.txt").write_text("new.png 1\n4.png 0\n")
    check = check_data(ListDataModule(str(clean), size=8, open_set="unseen"))
    found = {(f.split, f.what): (f.count, f.wrong) for f in check.findings}
    assert found == {("open_set", "in the query set too"): (1, True)}
    assert check.labels["open_set"] == {"0": 1, "1": 1}
    assert check.items["open_set"] == 2
    command = ["check-data", "--data=ListDataModule", f"--data.folder={clean}"]
    assert main([*command, "--data.open_set=unseen"]) == 1
    assert "open_set" in capsys.readouterr().out
