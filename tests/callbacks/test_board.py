"""What TensorBoard shows beside the curves, read back as it reads it."""

import json
import re
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams import metadata

from lightning_hash.__main__ import main
from lightning_hash.engine.callbacks.board import LAYOUT
from lightning_hash.engine.loggers import RunLogger
from tests.helpers.commands import SHORT_FIT, SMALL_ATTACK, SMALL_DATA

SIGN = ["--config=overlay/quick/sign.yaml"]  # each step changes what is seen


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()


def settings_in(events):
    """Return what the tab HParams has of a run, and the tags it comes from."""
    tags = events.PluginTagToContent(metadata.PLUGIN_NAME)
    start = metadata.parse_session_start_info_plugin_data(tags[metadata.SESSION_START_INFO_TAG])
    values = {
        name: value.number_value if value.HasField("number_value") else value.string_value
        for name, value in start.hparams.items()
    }
    return values, set(tags)


def last(events, tag):
    return events.Scalars(tag)[-1].value


def test_settings_and_numbers_of_a_run(tmp_path):
    logger = RunLogger(tmp_path, name="run")
    logger.save()
    logger.log_hyperparams(
        {"attack": {"name": "hag", "step": {"lr": 0.5}}, "bits": 16, "shape": [3, 8]},
        {"hp_metric": 0.25, "answer/map": 0.25}, 7,
    )  # fmt: skip
    logger.finalize("success")
    events = read(logger.log_dir)
    values, tags = settings_in(events)
    assert values == {"attack/name": "hag", "attack/step/lr": 0.5, "bits": 16.0, "shape": "[3, 8]"}
    # TensorBoard reads the first record of what there is, and no other run's settings then.
    assert tags == {metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG}
    assert [(each.step, each.value) for each in events.Scalars("hp_metric")] == [(7, 0.25)]
    saved = yaml.safe_load((Path(logger.log_dir) / "hparams.yaml").read_text())
    assert saved == {
        "attack": {"name": "hag", "step": {"lr": 0.5}}, "bits": 16, "shape": [3, 8],
    }  # fmt: skip


def test_settings_without_numbers_are_kept_for_the_file_alone(tmp_path):
    logger = RunLogger(tmp_path, name="run")
    logger.log_hyperparams({"bits": 16})
    logger.experiment.flush()
    logger.finalize("success")
    assert metadata.PLUGIN_NAME not in read(logger.log_dir).summary_metadata
    assert not read(logger.log_dir).Tags()["scalars"]
    assert yaml.safe_load((Path(logger.log_dir) / "hparams.yaml").read_text()) == {"bits": 16}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The events of a training, of HAG and of noise, and the folder of HAG."""
    folder = tmp_path_factory.mktemp("board")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", *SMALL_DATA, *SHORT_FIT]) == 0
        attack = ["attack", *SMALL_ATTACK, "--model.evaluate_at=[0, 2]"]
        assert main([*attack, "--config=attack/hag.yaml", *SIGN, "--trainer.max_epochs=4"]) == 0
        files = ["--model.jpeg=75"]
        assert main([*attack, "--config=attack/noise.yaml", "--name=it's", *files]) == 0
    places = ["fit/demo", "attack/hag", "attack/it's"]
    return [read(folder / "runs" / place / "version_0") for place in places], folder


@pytest.mark.slow
def test_runs_are_compared_side_by_side(runs):
    (fit, hag, noise), folder = runs
    rows = json.loads((folder / "runs/attack/hag/version_0/results.json").read_text())
    values = {
        (row["attack"] and row["attack"]["name"], row["metric"], row["iteration"]): row["value"]
        for row in rows
        if not row["quantized"]
    }
    assert last(hag, "hp_metric") == pytest.approx(values["hag", "map", 4])
    assert last(hag, "answer/map") == pytest.approx(values["hag", "map", 4])
    assert last(hag, "answer/map_clean") == pytest.approx(values[None, "map", 0])
    assert last(hag, "answer/t_map") == pytest.approx(values["hag", "t_map", 4])
    assert last(hag, "answer/perceptibility") == pytest.approx(values["hag", "perceptibility", 4])
    assert last(fit, "hp_metric") == last(fit, "answer/map_clean") == last(fit, "test/map")
    assert last(noise, "answer/map_clean") == last(hag, "answer/map_clean")
    # The five that the tab shows before others are asked for.
    tags = sorted(hag.Tags()["scalars"])[:5]
    assert tags == [
        "answer/map", "answer/map_clean", "answer/perceptibility", "answer/t_map",
        "answer/t_map_clean",
    ]  # fmt: skip
    trained, attacked, plain = (settings_in(events)[0] for events in (fit, hag, noise))
    for settings in (trained, attacked, plain):
        assert settings["victim/backbone"] == "convnet"
        assert settings["victim/bits"] == 32
        assert settings["victim/loss"] == "PairwiseLoss"
    assert [each["verb"] for each in (trained, attacked)] == ["fit", "attack"]
    assert attacked["attack/budget/epsilon"] == pytest.approx(10 / 255)
    assert attacked["attack/iterations"] == 4
    assert plain["attack/name"] == "noise"
    assert trained["model/optimizer/class"].startswith("torch.optim.")
    assert "attack/name" not in trained
    saved = yaml.safe_load((folder / "runs/attack/hag/version_0/hparams.yaml").read_text())
    assert saved["attack"]["objective"]["threshold"] == 0.5


@pytest.mark.slow
def test_command_and_protocol_are_one_text(runs):
    (fit, hag, noise), _ = runs
    texts = [
        events.Tensors("run/text_summary")[0].tensor_proto.string_val[0].decode()
        for events in (fit, hag, noise)
    ]
    assert texts[0].startswith("    lightning_hash fit --data.n_train=100 ")
    assert re.match(r"    lightning_hash attack --config=\S*/attack/hag.yaml ", texts[1])
    assert """--name=it'"'"'s'""" in texts[2].splitlines()[0]
    assert "| attack.budget.epsilon | 0.0392156862745098 |" in texts[1]
    assert "| ranking.ties | expected |" in texts[1]
    assert "| trainer.max_epochs | 2 |" in texts[0]


@pytest.mark.slow
def test_map_and_t_map_are_in_one_chart(runs):
    (fit, hag, noise), _ = runs
    content = hag.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    layout = Layout.FromString(content)
    assert [category.title for category in layout.category] == list(LAYOUT)
    chart = layout.category[0].chart[0]
    assert chart.title == "MAP and t-MAP"
    (tag,) = chart.multiline.tag
    assert [each for each in hag.Tags()["scalars"] if re.match(tag, each)] == [
        "attack/map", "attack/t_map", "final/map", "final/t_map",
    ]  # fmt: skip
    assert [t for t in fit.Tags()["scalars"] if re.match(tag, t)] == ["val/map", "test/map"]
    (saved,) = layout.category[0].chart[1].multiline.tag
    assert [each for each in hag.Tags()["scalars"] if re.match(saved, each)] == [
        "final_8bit/map", "final_8bit/t_map",
    ]  # fmt: skip
    assert [each for each in noise.Tags()["scalars"] if re.match(saved, each)] == [
        "final_8bit/map", "final_8bit/t_map", "final_jpeg_75/map", "final_jpeg_75/t_map",
    ]  # fmt: skip


@pytest.mark.slow
def test_pictures_at_milestones(runs):
    (_, hag, noise), folder = runs
    tag = "attack/clean_perturbation_adversarial"
    images = hag.Images(tag)
    assert [image.step for image in images] == [0, 2, 4]
    assert len({image.encoded_image_string for image in images}) == 3
    assert len({(image.width, image.height) for image in images}) == 1
    assert [image.step for image in noise.Images(tag)] == [0]
    for place in (folder / "runs").glob("*/*/version_0"):
        assert len(list(place.glob("events*"))) == 1
