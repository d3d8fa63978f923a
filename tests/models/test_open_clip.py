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
    for name, weights in (
        ("ViT-B-32", "laion2b_e16"),
        ("ViT-B-32-quickgelu", "DEFAULT"),
        ("ViT-B-32", None),
    ):
        build_model(f"open_clip/{name}", 8, weights)
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


@pytest.mark.parametrize("weights", ["DEFAULT", "openai", "metaclip_400m"])
def test_weights_of_the_other_gelu_are_refused(weights, clip, monkeypatch):
    monkeypatch.setattr(clip, "create_model", None)  # neither built nor downloaded
    tag = "openai" if weights == "DEFAULT" else weights
    with pytest.raises(
        ValueError,
        match=rf"weights {tag} of open_clip/ViT-B-32 were trained with QuickGELU, this network has "
        r"GELU; give --model.backbone open_clip/ViT-B-32-quickgelu, or weights that fit: laion2b",
    ):
        build_model("open_clip/ViT-B-32", 8, weights)


def test_each_tag_has_a_network_of_its_gelu(clip):
    from lightning_hash.models.open_clip_towers import _tag

    refused = 0
    for name in clip.list_models():
        for tag in clip.list_pretrained_tags_by_model(name):
            try:
                assert _tag(clip, name, name, tag) == tag
            except ValueError as error:
                refused += 1
                other = str(error).split("--model.backbone open_clip/")[1].split(",")[0]
                assert _tag(clip, other, other, tag) == tag
    assert refused > 20


def test_a_text_tower_of_hugging_face_needs_transformers(clip, monkeypatch):
    def create(*args, **options):
        msg = "Please `pip install transformers` to use pre-trained HuggingFace models"
        raise RuntimeError(msg)

    monkeypatch.setattr(clip, "create_model", create)
    monkeypatch.setattr("lightning_hash.models.open_clip_towers.find_spec", lambda name: None)
    for name in ("roberta-ViT-B-32", "xlm-roberta-base-ViT-B-32", "nllb-clip-base"):
        with pytest.raises(ValueError, match=r"\); its text tower .*: pip install transformers$"):
            build_model(f"open_clip/{name}", 8)
    with pytest.raises(ValueError, match=r"\); take another name, as open_clip/ViT-B-32$"):
        build_model("open_clip/ViT-B-32", 8)
    with pytest.raises(ValueError, match=r"\); give null for random weights"):
        build_model("open_clip/ViT-B-32", 8, "laion2b_e16")


@pytest.mark.parametrize("pool", [{}, {"attentional_pool": True, "attn_pooler_heads": 8}])
def test_of_coca_the_pooled_embedding_alone_is_taken(pool, clip, monkeypatch):
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "output_tokens": True}
    text = {"context_length": 8, "vocab_size": 9, "layers": 1, "heads": 1, "width": 64}
    small = clip.CLIP(512, {**vision, **pool}, text)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        pooled, _ = small.visual(images)
        monkeypatch.setattr(clip, "create_model", lambda *args, **options: small)
        network = build_model("open_clip/coca_ViT-B-32", 8)
        assert torch.equal(network.extractor(images), pooled)
        assert network(images).shape == (2, 8)
