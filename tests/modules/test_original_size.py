"""Attacks on image files in their own size, through resize and crop."""

from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from lightning_hash.attacks import (
    APGD,
    HAG,
    AnchorCode,
    Box,
    Hinge,
    LInf,
    MomentumSignStep,
    Oracle,
    Patch,
    PerQuery,
    Queries,
    RunStart,
    SignStep,
    Square,
    TargetChoice,
)
from lightning_hash.attacks.attack import attack as bare_attack
from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.transfer import run_transfer
from lightning_hash.data.queries import QueryData
from lightning_hash.data.views import after_jpeg
from lightning_hash.engine.callbacks import AttackCheckpoint, RunFolder
from lightning_hash.functional import sign_code
from lightning_hash.modules.transfer import read_perturbations
from lightning_hash.victims.victim import Victim
from tests.conftest import TinyNet
from tests.helpers.attacks import StopAt, attack, make, rows_of, trainer
from tests.helpers.own_parts import told
from tests.helpers.photos import photo_data, read_photo, write_photos

EPSILON = 16 / 255
signs = partial(SignStep, lr=4 / 255)
apgd, momentum = APGD, partial(MomentumSignStep, lr=4 / 255)
SIGN = {"step": signs, "epsilon": EPSILON, "resolution": "original"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos") / "photos")


@pytest.fixture
def data(photos):
    return photo_data(photos)


def test_a_batch_holds_images_of_one_size_and_every_query_is_in_one(data):
    queries = QueryData(data, None, batch_size=4, resolution="original")
    queries.setup("predict")
    batches = [queries.load_batch(number) for number in range(queries.n_batches)]
    assert sorted(int(i) for batch in batches for i in batch[2]) == list(range(16))
    found = [(tuple(inputs.shape[-2:]), len(index)) for inputs, _, index in batches]
    assert sorted(found) == [
        ((12, 12), 1), ((12, 12), 4), ((14, 20), 1), ((14, 20), 4), ((20, 14), 1), ((20, 14), 4),
        ((30, 12), 1),
    ]  # fmt: skip
    inputs, labels, index = queries.load_batch(queries.n_batches)  # that of an idle process
    assert (len(inputs), len(labels), len(index)) == (0, 0, 0)
    for inputs, _, index in batches:
        for row, number in enumerate(index.tolist()):
            image = data.dataset("query").picture(number)
            assert inputs.shape[-2:] == (image.height, image.width)
            seen = queries.view.of_clean(inputs)[row]
            assert torch.equal(seen, data.dataset("query")[number][0])


def test_codes_are_those_of_the_saved_files(data, tmp_path):
    run = trainer(tmp_path, 20, callbacks=[RunFolder()])
    network = TinyNet(256)  # many bits: a rounded level turns some
    scores = run_attack(run, make(network, jpeg=85, **{**SIGN, "epsilon": 0.2}), data)
    codes = load_file(tmp_path / "codes.safetensors")
    assert len(list((tmp_path / "images").iterdir())) == 2 * 16
    for ending, name, jpeg in (("png", "codes_8bit", None), ("jpg", "codes_jpeg", 85)):
        paths = [tmp_path / "images" / f"{int(i):06d}.{ending}" for i in codes["index"]]
        with torch.no_grad():
            found = sign_code(network(torch.stack([read_photo(path) for path in paths])))
        assert torch.equal(codes[name], found)
        mean = (found != codes["clean_codes"]).double().sum(dim=1).mean()
        wanted = {"metric": "hamming_to_clean", "quantized": True, "jpeg": jpeg}
        (row,) = rows_of(scores, **wanted)
        assert row["value"] == pytest.approx(float(mean), abs=1e-6)
        assert row["value"] > 1
        assert row["attack"]["resolution"] == "original"
    clean = [read_photo(data.dataset("query").path(int(i))) for i in codes["index"]]
    upright = [row for row, i in enumerate(codes["index"]) if codes["size"][row, 0] != 30]
    with torch.no_grad():
        found = sign_code(network(torch.stack(clean)))
    assert torch.equal(codes["clean_codes"][upright], found[upright])


def test_it_is_the_bare_loop_on_a_network_behind_the_view(data, tmp_path):
    scores = attack(tmp_path, data, **SIGN)
    queries, network = QueryData(data, None, resolution="original"), TinyNet()
    queries.setup("predict")
    outcome = scores.outcome()
    for number in range(queries.n_batches):
        inputs, _, index = queries.load_batch(number)
        delta = PerQuery(inputs, LInf(EPSILON))
        with torch.no_grad():
            batch = Queries.untargeted(inputs, network(queries.view.of_clean(inputs)))
        alpha = make().recipe.alpha
        found = bare_attack(
            lambda images: network(queries.view(images)), HAG(), delta, signs(delta.parameters()),
            batch, 6, alpha,
        )  # fmt: skip
        for row, place in enumerate(index.tolist()):
            made = outcome.image(place, outcome.tensors["perturbation"])
            torch.testing.assert_close(inputs[row] + made, found[row], rtol=0, atol=1e-6)
            assert not outcome.tensors["perturbation"][place, :, made.shape[1] :].any()
            assert float(made.abs().max()) <= EPSILON + 1e-7
            assert made.any()
    landscape = next(n for n, size in enumerate(outcome.tensors["size"].tolist()) if size[1] == 20)
    change = outcome.image(landscape, outcome.tensors["perturbation"])
    assert not change[:, :, [0, -1]].any()  # the crop leaves the edges out


@pytest.mark.parametrize(
    ("step", "more"),
    [(signs, {}), (momentum, {}), (apgd, {}),
     (Square, {"objective": Hinge(), "oracle": Oracle("codes")})],
    ids=["sign", "momentum", "apgd", "square"],
)  # fmt: skip
def test_a_killed_attack_goes_on_in_other_batches(step, more, data, photos, tmp_path):
    options = {**SIGN, "step": step, **more}
    whole = attack(tmp_path / "whole", data, **options)
    run = trainer(
        tmp_path / "part", callbacks=[AttackCheckpoint(every=2), StopAt(4, 1)],
        enable_checkpointing=True,
    )  # fmt: skip
    with pytest.raises(KeyError, match="killed"):
        run_attack(run, make(**options), photo_data(photos))
    last = str(tmp_path / "part" / "checkpoints" / "last.ckpt")
    for name, size in (("same", 5), ("other", 2)):
        again = attack(
            tmp_path / name, photo_data(photos), ckpt_path=last, batch_size=size, **options
        )
        found, wanted = (each.outcome().tensors["perturbation"] for each in (again, whole))
        exact = {} if size == 5 else {"rtol": 0, "atol": 1e-5}
        torch.testing.assert_close(found, wanted, **(exact or {"rtol": 0, "atol": 0}))
        if size == 5:
            assert told(again.rows) == told(whole.rows)


def test_a_target_is_reached(data, tmp_path):
    anchors = {"objective": AnchorCode(), "targets": TargetChoice(n_t=3), "epsilon": 0.5}
    scores = attack(tmp_path, data, 60, **{**SIGN, **anchors})
    distances = [
        rows_of(scores, "dhta", metric="hamming_to_anchor", **wanted)[0]["value"]
        for wanted in ({"iteration": 0}, {"iteration": 60, "quantized": True})
    ]
    assert distances[1] < distances[0] / 3


def test_perturbations_are_scored_again_and_gone_on_from(data, photos, tmp_path):
    run_attack(trainer(tmp_path, callbacks=[RunFolder()]), make(**SIGN), data)
    wanted = load_file(tmp_path / "codes.safetensors")
    given, victim = read_perturbations(tmp_path), Victim(TinyNet())
    rows = run_transfer(trainer(tmp_path / "again"), victim, [(given, None)], photo_data(photos))
    mean = (wanted["codes_8bit"] != wanted["clean_codes"]).double().sum(dim=1).mean()
    (found,) = (r for r in rows if r.is_attack and r.quantized and r.metric == "hamming_to_clean")
    assert found.value == pytest.approx(float(mean), abs=1e-6)
    start = RunStart(str(tmp_path))
    still = {**SIGN, "step": partial(SignStep, lr=1e-12), "start": start}
    scores = attack(tmp_path / "on", photo_data(photos), 1, **still)
    torch.testing.assert_close(
        scores.outcome().tensors["perturbation"],
        load_file(tmp_path / "perturbations.safetensors")["perturbation"], rtol=0, atol=1e-6,
    )  # fmt: skip
    with pytest.raises(ValueError, match="perturbations of resolution 'original', this attack's"):
        attack(tmp_path / "not", photo_data(photos), 1, **{**still, "resolution": "input"})


def test_what_does_not_go_with_it_is_refused(data, blobs, tmp_path):
    patch = {"perturbation": partial(Patch, side=3), "budget": Box, "epsilon": 1}
    for options, given, said in (
        ({**SIGN, **patch}, data, "resolution: original is for perturbations of single images"),
        (SIGN, blobs, "resolution: original takes image files in their own size, and blobs has"),
        (
            {**SIGN, "resolution": "own"},
            data,
            "resolution must be .*, got 'own'",
        ),
    ):
        with pytest.raises(ValueError, match=said):
            attack(tmp_path, given, 1, **options)
    for quality in (0, 101):
        with pytest.raises(ValueError, match=f"jpeg must be a quality .*, got {quality}"):
            make(jpeg=quality)


def test_images_of_the_network_are_scored_as_jpeg_too(blobs, tmp_path):
    scores = run_attack(trainer(tmp_path), make(jpeg=50, step=signs), blobs)
    sent = scores.outcome().tensors["adversarial_8bit"]
    with torch.no_grad():
        codes = sign_code(TinyNet()(after_jpeg(sent, 50).float() / 255))
    assert torch.equal(scores.outcome().tensors["codes_jpeg"], codes)
    (row,) = rows_of(scores, metric="linf", jpeg=50)
    clean = torch.stack([blobs.query_set[i][0] for i in range(13)])
    change = (after_jpeg(sent, 50).float() / 255 - clean).abs().flatten(1).amax(dim=1)
    assert row["value"] == pytest.approx(float(change.max()), abs=1e-6)
