import logging
import sys

import pytest
import torch
from safetensors.torch import save_file

from lightning_hash.models import build_model
from lightning_hash.models.backbones import preprocessing_of

SMALL = "open_clip/ViT-S-32-alt"  # 256 wide, of ten layers


@pytest.fixture(scope="module")
def clip():
    return pytest.importorskip("open_clip", reason="pip install '.[open_clip]'")


@pytest.fixture(scope="module")
def network(clip):
    torch.manual_seed(0)
    return build_model(SMALL, 8).eval()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ValueError, match=r"pip install 'lightning-hash\[open_clip\]'"):
        build_model("open_clip/ViT-B-32", 8)


@pytest.mark.slow
def test_the_hash_layer_sees_the_images_embedding(network, clip):
    whole = clip.create_model("ViT-S-32-alt").eval()
    whole.visual.load_state_dict(network.extractor.state_dict())
    images = torch.rand(2, 3, 224, 224)
    mean, std = (torch.tensor(v).view(3, 1, 1)
                 for v in (clip.OPENAI_DATASET_MEAN, clip.OPENAI_DATASET_STD))  # fmt: skip
    torch.testing.assert_close(network.features(images), whole.encode_image((images - mean) / std))
    assert network.hash_layer.in_features == 256


@pytest.mark.slow
def test_gradients_reach_the_image_and_the_size_is_checked(network):
    images = torch.rand(2, 3, 224, 224, requires_grad=True)
    network(images).sum().backward()
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "size", "mean"),
    [
        ("ViT-B-32", 224, 0.48145466),
        ("ViT-B-16-SigLIP-384", 384, 0.5),
        ("ViT-S-32", 224, 0.48145466),
    ],
)
def test_preprocessing_is_that_of_the_first_weights(name, size, mean, clip):
    found = preprocessing_of(f"open_clip/{name}")
    assert (found.size, found.interpolation, found.mean[0]) == (size, "bicubic", mean)


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
def test_weights_of_a_file(whole, network, tmp_path):
    state = {k: v + 1 for k, v in network.extractor.state_dict().items() if v.dim()}
    if whole:
        state = {f"visual.{k}": v for k, v in state.items()}
        state |= {"token_embedding.weight": torch.zeros(3, 3), "logit_scale": torch.zeros(1)}
    save_file(state, tmp_path / "w.safetensors")
    loaded = build_model(SMALL, 8, str(tmp_path / "w.safetensors"))
    for name, value in network.extractor.state_dict().items():
        assert torch.equal(loaded.extractor.state_dict()[name], value + 1), name


@pytest.mark.slow
def test_tags_go_to_open_clip(monkeypatch, clip):
    asked, real = [], clip.create_model

    def create(name, pretrained, **options):
        asked.append(pretrained)
        return real("ViT-S-32-alt", **options)

    monkeypatch.setattr(clip, "create_model", create)
    for weights in ("laion2b_e16", "DEFAULT", None):
        build_model("open_clip/ViT-B-32", 8, weights)
    assert asked == ["laion2b_e16", "openai", None]
    with pytest.raises(ValueError, match=r"weights 'laion9b' are unknown .*give null, DEFAULT, o"):
        build_model("open_clip/ViT-B-32", 8, "laion9b")
    with pytest.raises(
        ValueError, match="weights 'DEFAULT' are unknown for open_clip/ViT-S-32-alt"
    ):
        build_model(SMALL, 8, "DEFAULT")


def test_unknown_names(clip):
    with pytest.raises(ValueError, match="unknown to open_clip; did you mean open_clip/ViT-B-32"):
        build_model("open_clip/ViT-B-33", 8)
    with pytest.raises(ValueError, match="unknown to open_clip"):
        build_model("open_clip/hf-hub:a/b", 8)


@pytest.mark.slow
def test_nothing_is_logged_and_the_root_logger_stays(clip, capfd):
    root = logging.getLogger()
    handlers, root.handlers[:] = list(root.handlers), []
    try:
        build_model(SMALL, 8)
        assert root.handlers == []
    finally:
        root.handlers[:] = handlers
    assert "randomly" not in capfd.readouterr().err
    assert logging.root.manager.disable == 0
