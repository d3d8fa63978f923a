"""Pipes, devices and bombs where a file is expected: one line, at once, without the memory."""

import io
import json
import os
import re
import resource
import signal
import socket
import struct
import time
import warnings
import zipfile
import zlib

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lightning_hash.__main__ import main
from lightning_hash.attacks.target_rows import read_target_json
from lightning_hash.codes.code_files import read_codes
from lightning_hash.data import CSVDataModule, ListDataModule
from lightning_hash.data.check import check_data
from lightning_hash.data.clips import ClipReading, _array, _video
from lightning_hash.data.lists import read_list
from lightning_hash.data.pictures import read_picture
from lightning_hash.models.state_dicts import read_state_dict
from lightning_hash.modules.transfer import read_perturbations
from lightning_hash.results.curves import read_curves
from lightning_hash.results.rows import read_results
from lightning_hash.utils.array_files import read_arrays
from lightning_hash.utils.configs import read_config
from lightning_hash.utils.foreign_files import check_file, check_size
from lightning_hash.utils.json_text import read_json
from lightning_hash.utils.whole_file import part_of, remove_parts, write_whole
from lightning_hash.utils.yaml_text import MOST_VALUES, load_yaml
from lightning_hash.victims.checkpoints import read_checkpoint

SECONDS, MEMORY = 30, 2**29  # what an answer may take


@pytest.fixture(autouse=True)
def bounded():
    """End a test that hangs, or takes memory."""

    def stop(signum, frame):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    started, taken = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < SECONDS
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - taken) < MEMORY


def pipe(path):
    os.mkfifo(path)


def endless(path):
    path.symlink_to("/dev/zero")


def sockets(path):
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


READERS = {
    "results.json": read_results,
    "curves.json": read_curves,
    "x.json": lambda path: read_target_json(path),
    "perturbations.safetensors": lambda path: read_perturbations(path.parent),
    "codes.safetensors": read_codes,
    "codes.npy": read_codes,
    "codes.txt": read_codes,
    "a.mat": read_arrays,
    "a.npz": read_arrays,
    "a.pt": read_arrays,
    "list.txt": lambda path: read_list((path,)),
    "table.csv": lambda path: CSVDataModule(str(path.parent), "table").read("table"),
    "a.png": read_picture,
    "a.mp4": lambda path: _video(path, ClipReading(2)),
    "clip.npy": lambda path: _array(path, ClipReading(2)),
    "v.pth": lambda path: read_state_dict(path, "weights", "vgg11"),
    "v.safetensors": lambda path: read_state_dict(path, "weights", "vgg11"),
    "v.ckpt": lambda path: read_checkpoint(path, "victim", "fit"),
    "c.yaml": read_config,
    "any": check_file,
}
SPECIAL = {"named pipe": pipe, "device": endless, "socket": sockets}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_no_file(tmp_path, name, kind):
    SPECIAL[kind](tmp_path / name)
    with pytest.raises(ValueError, match=f"is a {kind}, no file") as caught:
        READERS[name](tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("a.mp4", "clip.npy")])
def test_a_file_larger_than_the_memory(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(2**43)  # of zeros that no disk holds
    with pytest.raises(ValueError, match=r"GiB|MiB|bytes") as caught:
        READERS[name](tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            ["score", "--query", "{pipe}.txt", "--database", "{pipe}.txt"],
            "codes {pipe}.txt is a named pipe",
        ),
        (["fit", "--config", "{pipe}.yaml"], "config {pipe}.yaml is a named pipe"),
        (["sweep", "{pipe}.yaml", "--dry-run"], "sweep file {pipe}.yaml is a named pipe"),
        (["report", "{run}"], "results.json is not read: it is a named pipe, no file; give a file"),
        (["transfer", "--perturbations", "{run}", "--victims", "x.ckpt"], "is a named pipe, no"),
        (["check-data", "--config", "{pipe}.yaml"], "config {pipe}.yaml is a named pipe"),
    ],
)
def test_a_pipe_on_the_command_line(tmp_path, capsys, line, said):
    for ending in (".txt", ".yaml"):
        pipe(tmp_path / f"pipe\n{ending}")
    (tmp_path / "run").mkdir()
    pipe(tmp_path / "run" / "results.json")
    pipe(tmp_path / "run" / "perturbations.safetensors")
    places = {"pipe": str(tmp_path / "pipe\n"), "run": str(tmp_path / "run")}
    assert main([word.format(**places) for word in line]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert said.format(pipe=str(tmp_path / r"pipe\n")) in error


def test_check_data_names_a_pipe_among_pictures(tmp_path):
    names = ["a", "b", "c", "d"]
    for name in names[:3]:
        Image.new("RGB", (9, 9), name and (len(name), names.index(name), 3)).save(
            tmp_path / f"{name}.png"
        )
    pipe(tmp_path / "d.png")
    for split in ("train", "query", "database"):
        (tmp_path / f"{split}.txt").write_text("".join(f"{name}.png 1 0\n" for name in names))
    found = check_data(ListDataModule(str(tmp_path), root=str(tmp_path), size=8)).findings
    (first,) = [f for f in found if (f.what, f.split) == ("cannot be read", "query")]
    assert first.examples[0].endswith(
        "d.png cannot be read: it is a named pipe, no file; give a file"
    )


def png(width, height, *chunks):
    def chunk(kind, content):
        sums = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + sums

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *(chunk(*each) for each in chunks)]
    parts += [chunk(b"IDAT", zlib.compress(bytes(height * (3 * width + 1)))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif(frames):
    file = io.BytesIO()
    pictures = [Image.new("L", (1, 1), number % 251) for number in range(3)]
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:])
    content = file.getvalue()
    place = content.index(b"\x21\xf9", content.index(b"\x2c"))  # the second frame
    return content[:place] + content[place:-1] * (frames // 2) + b";"


BOMBS = [b"zTXt", b"iTXt", b"iCCP"]
BOMB = zlib.compress(bytes(10**8), 9)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gif(1_000_000), "it holds several pictures, and an item is one"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "no image that"),
    ],
)
def test_pictures_that_are_bombs(content, said):
    with pytest.raises(ValueError, match=said):
        read_picture(io.BytesIO(content))


@pytest.mark.parametrize(
    "size", [(10**4, 10**4), (20_000, 20_000), (2**31 - 1, 2**31 - 1)], ids=str
)
def test_a_header_that_declares_too_many_pixels(size):
    width, height = size
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    good = b"IHDR" + header
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + good
    content += struct.pack(">I", zlib.crc32(good)) + struct.pack(">I", 0) + b"IDAT"
    content += struct.pack(">I", zlib.crc32(b"IDAT"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(ValueError, match=r"pixels.* save it smaller"):
            read_picture(io.BytesIO(content))


@pytest.mark.parametrize("kind", BOMBS)
def test_a_picture_with_a_bomb_beside_it(kind):
    head = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind]
    content = png(2, 2, (kind, head + BOMB))
    with pytest.raises(ValueError, match="Decompressed data too large"):
        read_picture(io.BytesIO(content))


def npy(shape, descr="<f8"):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    head += b" " * (63 - (len(head) + 10) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head


@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6), (2**63, 2**63)])
def test_an_array_that_declares_more_than_it_holds(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(npy(shape) + bytes(64))
    with pytest.raises(ValueError, match=r"a\.npy declares .* values of float64, .* and holds"):
        read_arrays(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("x.npy", npy(shape) + bytes(64))
    with pytest.raises(ValueError, match=r"b\.npz:x declares .* values of float64, .* and holds"):
        read_arrays(tmp_path / "b.npz")


def zip_bomb(path, name="x.npy", size=3 * 2**30):
    head = npy((size,), "|u1")
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        file.write(head)
        for _ in range(size >> 26):
            file.write(bytes(2**26))


@pytest.fixture(scope="module")
def bomb(tmp_path_factory):
    path = tmp_path_factory.mktemp("bomb") / "bomb.npz"
    zip_bomb(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.npz", "a.pt", "v.pth", "v.ckpt"])
def test_an_archive_that_is_a_bomb(tmp_path, bomb, name):
    (tmp_path / name).hardlink_to(bomb)
    with pytest.raises(ValueError, match=r"and unpacks to 3 GiB: a zip bomb\?"):
        READERS[name](tmp_path / name)


def test_a_tensor_that_is_small_in_its_file(tmp_path):
    torch.save(torch.zeros(1).expand(10**7, 10**7), tmp_path / "a.pt")
    with pytest.raises(ValueError, match="its dense form would take"):
        read_arrays(tmp_path / "a.pt")
    sparse = torch.sparse_coo_tensor([[0], [0]], [1.0], (10**7, 10**7))
    torch.save(sparse, tmp_path / "b.pt")
    with pytest.raises(ValueError, match="its dense form would take"):
        read_arrays(tmp_path / "b.pt")


def laughs(levels, ways=10):
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * ways)}]" for n in range(1, levels)]
    return "\n".join(lines)


MERGED = "a0: &a0 {x: 1}\n" + "\n".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (laughs(10), f"stand for 2,345,679,022 values, at most {MOST_VALUES:,} are read"),
        (MERGED, "its aliases stand for"),
        ("a: &a [*a]", "nested too deep, or an alias stands for what it is in"),
        ("a: &a {b: *a}", "nested too deep, or an alias stands for what it is in"),
        ("a: " + "[" * 1000, "nested too deep"),
        ("a: " + "{b: " * 1000, "nested too deep"),
        ("\n".join(" " * n + "a:" for n in range(1000)), "nested too deep"),
    ],
)
def test_a_yaml_bomb(tmp_path, capsys, text, said):
    (tmp_path / "c.yaml").write_text(text)
    for line in (["fit", "--config"], ["check-data", "--config"], ["sweep"]):
        assert main([*line, str(tmp_path / "c.yaml")]) == 1
        (error,) = capsys.readouterr().err.splitlines()
        assert error.startswith(f"error: {'sweep file' if line == ['sweep'] else 'config'} ")
        assert re.search(said, error)


def test_aliases_of_a_person_are_read():
    assert load_yaml("a: &a [1, 2]\nb: *a\nc: {<<: &m {x: 1}, y: 2}\nd: *m", "c") == {
        "a": [1, 2], "b": [1, 2], "c": {"x": 1, "y": 2}, "d": {"x": 1},
    }  # fmt: skip
    assert load_yaml("", "c") is None
    assert load_yaml(yaml.safe_dump({"x": list(range(1000))}), "c") == {"x": list(range(1000))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 10**5 + "]" * 10**5, "nested too deep"),
        ('{"a":' * 10**5, "nested too deep"),
        ("1" * 10**6, "Exceeds the limit"),
        ("[1e999, -Infinity, NaN]", None),
    ],
)
def test_a_json_bomb(tmp_path, text, said):
    (tmp_path / "a.json").write_text(text)
    if said is None:
        assert read_json(tmp_path / "a.json", "a", "b")[0] == float("inf")
        with pytest.raises(ValueError, match="must be a mapping, got float"):
            read_results(tmp_path / "a.json")
        return
    for reader in (
        lambda path: read_json(path, "a", "b"),
        read_results,
        READERS["curves.json"],
        READERS["x.json"],
    ):
        with pytest.raises(ValueError, match=said) as caught:
            reader(tmp_path / "a.json")
        assert len(str(caught.value)) < 500


def test_class_numbers_far_apart_take_no_memory(tmp_path):
    for split in ("train", "query", "database"):
        (tmp_path / f"{split}.txt").write_text("a.png 1000000000000\nb.png 3\n")
    for name in ("a", "b"):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{name}.png")
    data = ListDataModule(str(tmp_path), root=str(tmp_path), size=8)
    data.setup("fit")
    assert data.num_classes == 2
    with pytest.raises(ValueError, match=r"labels would take .* GiB, and this machine"):
        check_size(10**15, "labels")


def test_a_safetensors_header_without_end(tmp_path):
    for size in (2**63 - 1, 10**12, 10**8):
        for name in ("v.safetensors", "codes.safetensors", "perturbations.safetensors"):
            (tmp_path / name).write_bytes(struct.pack("<Q", size) + b"{" * 99)
            with pytest.raises(ValueError, match=r"truncated"):
                READERS[name](tmp_path / name)
    deep = b'{"__metadata__":' + b'{"a":' * 10**5 + b"}" * 10**5 + b"}"
    (tmp_path / "codes.safetensors").write_bytes(struct.pack("<Q", len(deep)) + deep)
    with pytest.raises(ValueError, match=r"truncated"):
        READERS["codes.safetensors"](tmp_path / "codes.safetensors")


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile other.ts\n", "#EXTM3U\nother.ts\n"])
def test_a_playlist_that_poses_as_a_video_opens_nothing(tmp_path, text):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "other.ts"), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(4):
            for packet in stream.encode(av.VideoFrame(16, 16, "yuv420p")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    assert len(_video(tmp_path / "other.ts", ClipReading(2))) == 2
    (tmp_path / "a.mp4").write_text(text)
    with pytest.raises(ValueError, match="FFmpeg"):
        _video(tmp_path / "a.mp4", ClipReading(2))


def test_json_of_a_row_stays_small(tmp_path):
    text = json.dumps([{"schema": 2, "metric": "x" * 10**6, "odd\x1b[31m\n": 1}])
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match="unknown field"):
        read_results(tmp_path / "results.json")


def test_a_pipe_that_poses_as_an_unfinished_file_keeps_nobody_waiting(tmp_path):
    left = tmp_path / ".results.json.elsewhere.1.part"
    pipe(left)
    os.utime(left, (0, 0))
    (tmp_path / ".a.elsewhere.1.part").symlink_to(tmp_path / "own")
    (tmp_path / "own").write_text("x")
    os.utime(tmp_path / "own", (0, 0))
    remove_parts(tmp_path)
    assert (tmp_path / "own").exists()


def test_a_file_takes_the_place_of_no_device(tmp_path, capsys):
    runs = {"a": {"verb": "fit"}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"runs": runs, "full": [{"run": "a"}]}))
    pipe(tmp_path / "submit.sh")
    assert main(["sweep", str(tmp_path / "s.yaml"), "--slurm", str(tmp_path / "submit.sh")]) == 1
    assert "submit.sh cannot be written to (it is a pipe or a device)" in capsys.readouterr().err
    assert (tmp_path / "submit.sh").is_fifo()


def test_what_is_written_goes_through_no_link(tmp_path):
    (tmp_path / "own").write_text("mine")
    part_of(tmp_path / "a.json").symlink_to(tmp_path / "own")
    with pytest.raises(OSError, match=r"a\.json"):
        write_whole(tmp_path / "a.json", b"theirs")
    assert (tmp_path / "own").read_text() == "mine"


def test_a_path_in_a_list_that_no_system_takes(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "b.png")
    for split in ("train", "query", "database"):
        (tmp_path / f"{split}.txt").write_text(f"b.png 1 0\n{'x' * 300}.png 0 1\n")
    data = ListDataModule(str(tmp_path), root=str(tmp_path), size=8)
    data.setup("fit")
    images = data.dataset("query")
    for look in (images.picture, images._size):
        with pytest.raises(ValueError, match=r"query\.txt:2: image .*File name too long"):
            look(1)
    (tmp_path / "query.txt").write_text("b.png 1 0\na\0b.png 0 1\n")
    with pytest.raises(ValueError, match=r"query\.txt:2: a NUL byte, which no path has"):
        ListDataModule(str(tmp_path), root=str(tmp_path), size=8).setup("fit")


def test_numbers_of_a_npy_of_any_version(tmp_path):
    for version in ((1, 0), (2, 0), (3, 0)):
        with (tmp_path / "a.npy").open("wb") as file:
            np.lib.format.write_array(file, np.arange(6.0).reshape(2, 3), version=version)
        assert read_arrays(tmp_path / "a.npy")[""].tolist() == [[0, 1, 2], [3, 4, 5]]
