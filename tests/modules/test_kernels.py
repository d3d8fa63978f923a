import itertools

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from lightning_hash.attacks import AnchorCode
from lightning_hash.commands.attack import run_attack
from lightning_hash.functional import sign_code
from lightning_hash.models import build_model
from lightning_hash.victims import borrowed, kernel_choice
from lightning_hash.victims.kernel_choice import (
    candidates,
    choose_kernels,
    fastest_kernels,
    rule_kernels,
)
from lightning_hash.victims.kernels import Kernels, batch_norms, read_kernels
from lightning_hash.victims.victim import Victim
from tests.conftest import TinyNet
from tests.helpers.attacks import far_step, make, rows_of, trainer

SHORT = Kernels(short=True, channels_last=True)
CANDIDATES = candidates(torch.device("cpu"))


def loss(network, inputs):
    return torch.tanh(network(inputs)).sum()


def clock(monkeypatch, seconds):
    """Let each pass take what is given for its candidate."""
    now = [0.0]

    def gradient(network, inputs, function):
        short = any(p.dtype == torch.bfloat16 for p in network.parameters())
        folded = batch_norms(network) == 0
        now[0] += seconds[Kernels(short, network.channels_last, folded)]
        laid_out = network.lay_out(inputs).requires_grad_()
        return torch.autograd.grad(function(network, laid_out), laid_out)[0]

    monkeypatch.setattr(kernel_choice, "_gradient", gradient)
    monkeypatch.setattr(kernel_choice, "_now", lambda device: now[0])


@pytest.mark.parametrize("name", ["convnet", "resnet18"])
def test_a_folded_network_shows_what_its_hash_layer_sees(name):
    """The feature-based attack on the kernels of the rule."""
    victim, images = Victim(build_model(name, 8).eval()), torch.rand(2, 3, 32, 32)
    folded = Kernels(folded=True).of(victim)
    assert batch_norms(victim.network) > batch_norms(folded.network) == 0
    for found, expected in zip(
        folded.with_features(images), victim.with_features(images), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("seconds", "chosen", "gain"),
    [
        ((4.0, 3.0, 1.0, 4.0, 4.0, 4.0), SHORT, 4.0),
        ((4.0, 2.0, 3.0, 4.0, 4.0, 4.0), Kernels(channels_last=True), 2.0),
        ((4.0, 2.0, 3.0, 4.0, 1.6, 4.0), Kernels(channels_last=True, folded=True), 2.5),
        ((4.0, 3.9, 3.7, 3.8, 3.9, 4.0), Kernels(), 1.0),  # too little to be sure of
        ((0.4, 0.3, 0.1, 0.4, 0.4, 0.4), SHORT, 4.0),  # three passes of each
    ],
)
def test_the_fastest_is_chosen(monkeypatch, seconds, chosen, gain):
    clock(monkeypatch, dict(zip(CANDIDATES, seconds, strict=True)))
    victim = Victim(build_model("convnet", 8).eval())
    found = choose_kernels(victim, torch.rand(6, 3, 32, 32), loss)
    assert found == (chosen, pytest.approx(gain))
    weight = next(victim.network.parameters())
    assert weight.dtype == torch.float32
    assert weight.is_contiguous()


def test_quick_passes_are_timed_on_more_queries(monkeypatch):
    sizes = []

    def gradient(network, inputs, function):
        sizes.append(len(inputs))
        return torch.ones_like(inputs)

    times = itertools.count(step=0.01)
    monkeypatch.setattr(kernel_choice, "_gradient", gradient)
    monkeypatch.setattr(kernel_choice, "_now", lambda device: next(times))
    choose_kernels(Victim(TinyNet()), torch.rand(60, 3, 8, 8), loss)
    assert set(sizes) == {4, 40}  # four take 0.01 s, 0.1 s are wanted
    # Alone, then two candidates in turns with float32; TinyNet has no batch norm to fold.
    assert sizes.count(40) == 1 + 2 * (1 + 2 * kernel_choice.ROUNDS)


class Rounding(nn.Module):
    """A gradient that bfloat16 loses: a difference of two values that are nearly equal."""

    bits = 8

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(48, 8, bias=False)
        self.layer.weight.data = torch.ones(8, 48) + torch.randn(8, 48) * 1e-4

    def forward(self, inputs):
        out = self.layer(nn.functional.adaptive_avg_pool2d(inputs, 4).flatten(1))
        return out - out.roll(1, dims=1)


class Scripted(nn.Module):
    """Can neither be copied nor cast."""

    bits = 8

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(48, 8)

    def __deepcopy__(self, memo):
        raise RuntimeError("no copies")

    def forward(self, inputs):
        return self.layer(nn.functional.adaptive_avg_pool2d(inputs, 4).flatten(1))


@pytest.mark.parametrize("network", [Rounding, Scripted])
def test_what_changes_the_gradient_or_fails_is_left_out(monkeypatch, network):
    torch.manual_seed(0)
    clock(monkeypatch, {kernels: 0.1 if kernels.short else 4.0 for kernels in CANDIDATES})
    found = choose_kernels(
        Victim(network()), torch.rand(4, 3, 8, 8), lambda n, x: n(x)[:, ::2].sum()
    )
    assert found == (CANDIDATES[0], 1.0)


def attacked(tmp_path, blobs, **options):
    """Return the module and its scores."""
    module = make(**{"kernels": "fastest", **options})
    return module, run_attack(trainer(tmp_path, 6), module, blobs)


def test_short_iterations_exact_scores(tmp_path, blobs, monkeypatch):
    monkeypatch.setattr(kernel_choice, "choose_kernels", lambda *_: (SHORT, 4.0))
    victim = TinyNet()
    module, scores = attacked(tmp_path, blobs, victim=victim)
    assert {row["run"]["kernels"] for row in scores.rows} == {"bfloat16 channels_last"}
    outcome = scores.outcome().tensors
    assert outcome["perturbation"].dtype == torch.float32
    assert next(victim.parameters()).dtype == torch.float32  # the user's model is left alone
    shifts = module.runner.network.convolution.weight.float() - victim.convolution.weight
    assert 0 < shifts.abs().max() < 0.02
    clean = torch.cat([queries.inputs for queries in module.batches])
    moved = (clean + outcome["perturbation"]).clamp(0, 1)
    assert torch.equal(outcome["codes"], sign_code(victim(moved)).to(torch.int8))
    _, plain = attacked(tmp_path, blobs, kernels="float32")
    assert {row["run"]["kernels"] for row in plain.rows} == {"float32"}
    assert not torch.equal(plain.outcome().tensors["perturbation"], outcome["perturbation"])
    for metric in ("map", "t_map", "hamming_to_clean"):
        found, expected = (
            [row["value"] for row in rows_of(each, metric=metric, attack="hag")]
            for each in (scores, plain)
        )
        assert found == pytest.approx(expected, abs=0.1), metric
    start = rows_of(scores, metric="hamming_to_clean", iteration=0)
    assert [row["value"] for row in start] == [0.0]  # exact codes at a milestone


def test_resumed_attacks_keep_their_kernels(tmp_path, blobs, monkeypatch):
    monkeypatch.setattr(kernel_choice, "choose_kernels", lambda *_: (SHORT, 4.0))
    _, whole = attacked(tmp_path, blobs)
    keep = ModelCheckpoint(
        tmp_path, filename="{epoch}", every_n_epochs=1, save_top_k=-1, save_on_train_epoch_end=True
    )
    saved = make(kernels="fastest")
    run_attack(trainer(tmp_path, 6, callbacks=[keep], enable_checkpointing=True), saved, blobs)
    monkeypatch.setattr(kernel_choice, "choose_kernels", lambda *_: pytest.fail("chosen again"))
    resumed, last = make(kernels="fastest"), str(tmp_path / "epoch=2.ckpt")
    scores = run_attack(trainer(tmp_path, 6), resumed, blobs, ckpt_path=last)
    assert resumed.kernels == SHORT
    found, expected = (each.outcome().tensors["perturbation"] for each in (scores, whole))
    assert torch.equal(found, expected)


def test_a_resumption_names_the_kernels_that_it_cannot_change(tmp_path, blobs):
    keep = ModelCheckpoint(tmp_path, filename="last", every_n_epochs=3)
    run = trainer(tmp_path, 6, callbacks=[keep], enable_checkpointing=True)
    run_attack(run, make(kernels="channels_last"), blobs)
    last = str(tmp_path / "last.ckpt")
    for wanted in ("float32", "auto", "fastest"):
        said = f"its kernels is 'float32 channels_last', this run's is '{wanted}'"
        with pytest.raises(ValueError, match=said):
            run_attack(trainer(tmp_path, 6), make(kernels=wanted), blobs, ckpt_path=last)
    resumed = make(kernels=["channels_last"])
    run_attack(trainer(tmp_path, 6), resumed, blobs, ckpt_path=last)
    assert resumed.kernels == Kernels(channels_last=True)


@pytest.mark.parametrize(
    ("wanted", "precision", "expected"),
    [
        ("auto", "32-true", "float32 channels_last"),
        ("auto", "bf16-mixed", "float32"),
        ("channels_last", "32-true", "float32 channels_last"),
        (["float32"], "32-true", "float32"),
    ],
)
def test_nothing_is_measured_unless_it_is_asked_for(
    tmp_path, blobs, monkeypatch, wanted, precision, expected
):
    monkeypatch.setattr(kernel_choice, "_now", lambda *_: pytest.fail("timed"))
    scores = run_attack(trainer(tmp_path, 2, precision=precision), make(kernels=wanted), blobs)
    assert {row["run"]["kernels"] for row in scores.rows} == {expected}


@pytest.mark.parametrize("wanted", ["fastest", "bfloat16", "tf32"])
def test_another_number_type_needs_float32_around(tmp_path, blobs, wanted):
    with pytest.raises(ValueError, match=f"kernels {wanted} have .* give 32-true"):
        run_attack(trainer(tmp_path, 2, precision="bf16-mixed"), make(kernels=wanted), blobs)


@pytest.mark.parametrize(
    ("name", "side", "expected"),
    [
        ("convnet", 64, "float32 channels_last folded"),
        ("resnet18", 64, "float32 folded"),
        ("resnet18", 192, "float32 channels_last folded"),
        ("alexnet", 64, "float32"),
        ("alexnet", 224, "float32 channels_last"),
    ],
)
def test_the_rule(name, side, expected):
    """As measured on a CPU, see docs/performance.md."""
    victim = Victim(build_model(name, 8).eval())
    weight = next(victim.network.parameters()).clone()
    assert str(rule_kernels(victim, torch.rand(2, 3, side, side))) == expected
    assert torch.equal(next(victim.network.parameters()), weight)


class Branch(nn.Module):
    """Goes another way while it is traced: a folded copy gives other logits."""

    bits = 8

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 100, 3, bias=False)
        self.norm = nn.BatchNorm2d(100)

    def forward(self, inputs):
        scale = 1.0 if isinstance(inputs, torch.fx.Proxy) else 2.0
        return self.norm(self.convolution(inputs)).mean(dim=(2, 3))[:, :8] * scale


class Scripted100(nn.Module):
    bits = 8

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 100, 3), nn.BatchNorm2d(100))

    def __deepcopy__(self, memo):
        raise RuntimeError("no copies")

    def forward(self, inputs):
        if inputs.sum() > -1:  # nothing that can be traced
            return self.layers(inputs).mean(dim=(2, 3))[:, :8]
        return None


@pytest.mark.parametrize("network", [Branch, Scripted100, Scripted, nn.Flatten])
def test_the_rule_leaves_what_cannot_be_copied_as_it_is(network):
    assert rule_kernels(Victim(network().eval()), torch.rand(2, 3, 8, 8)) == Kernels()
    if network is not nn.Flatten:
        with pytest.raises(ValueError, match=r"kernels float32 folded: .* name others"):
            Kernels(folded=True).of(Victim(Scripted100().eval()))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("float32", Kernels()),
        ("bfloat16 channels_last", SHORT),
        (["folded", "compile"], Kernels(folded=True, compiled=True)),
        ("tf32, channels_last", Kernels(tf32=True, channels_last=True)),
        ("auto", "auto"),
        (["fastest"], "fastest"),
    ],
)
def test_kernels_are_named(given, expected):
    assert read_kernels(given) == expected
    if isinstance(expected, Kernels):
        assert read_kernels(str(expected)) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("fast", "kernels must be one of 'float32', .*, got 'fast'"),
        ("", "kernels must be one of"),
        ([], "kernels must be one of"),
        ("bfloat16 float32", "one number type and layouts, got 'bfloat16 float32'"),
        (["auto", "folded"], "must be auto, fastest, or one number type"),
    ],
)
def test_wrong_names_of_kernels(given, message):
    with pytest.raises(ValueError, match=message):
        make(kernels=given)


def test_a_measured_choice_is_made_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    victim, images = Victim(build_model("convnet", 8).eval()), torch.rand(6, 3, 32, 32)
    clock(monkeypatch, dict(zip(CANDIDATES, (4.0, 3.0, 1.0, 4.0, 4.0, 4.0), strict=True)))
    assert fastest_kernels(victim, images, loss) == SHORT
    clock(monkeypatch, dict.fromkeys(CANDIDATES, 1.0) | {Kernels(folded=True): 0.1})
    other = Victim(build_model("convnet", 8).eval())  # other weights, one structure
    assert fastest_kernels(other, images, loss) == SHORT
    folded = Kernels(folded=True)
    assert fastest_kernels(victim, images[:5], loss) == folded
    assert fastest_kernels(Victim(build_model("convnet", 16).eval()), images, loss) == folded
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert fastest_kernels(victim, images, loss) == folded
    files = sorted((tmp_path / "lightning_hash" / "kernels").iterdir())
    assert len(files) == 4
    assert all(file.suffix == ".json" and not file.name.startswith(".") for file in files)


def test_of_two_that_measure_at_once_the_first_decides(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    victim, images = Victim(TinyNet()), torch.rand(6, 3, 8, 8)

    def meanwhile(*_):
        monkeypatch.setattr(kernel_choice, "choose_kernels", lambda *_: (SHORT, 4.0))
        assert fastest_kernels(victim, images, loss) == SHORT
        return Kernels(channels_last=True), 2.0

    monkeypatch.setattr(kernel_choice, "choose_kernels", meanwhile)
    assert fastest_kernels(victim, images, loss) == SHORT


def test_a_kept_choice_is_checked(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    victim, images = Victim(TinyNet()), torch.rand(6, 3, 8, 8)
    monkeypatch.setattr(kernel_choice, "choose_kernels", lambda *_: (SHORT, 4.0))
    assert fastest_kernels(victim, images, loss) == SHORT
    monkeypatch.setattr(kernel_choice, "_close", lambda *_: False)
    with pytest.warns(UserWarning, match="do not suit these weights; float32 is taken"):
        assert fastest_kernels(victim, images, loss) == Kernels()
    (file,) = (tmp_path / "lightning_hash" / "kernels").iterdir()
    file.write_text("{")
    monkeypatch.setattr(kernel_choice, "choose_kernels", lambda *_: (Kernels(), 1.0))
    with pytest.warns(UserWarning, match="is damaged; the kernels are measured again"):
        assert fastest_kernels(victim, images, loss) == Kernels()


def test_tf32_is_for_the_iterations_alone():
    def flags():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = flags()
    with Kernels(tf32=True).arithmetic():
        assert flags() == ("high", True)
    assert flags() == before
    with Kernels(short=True).arithmetic():
        assert flags() == before


class Limited(TinyNet):
    """A device whose memory holds a backward pass over few queries only."""

    def __init__(self, most, in_backward):
        super().__init__()
        self.most, self.in_backward, self.sizes = most, in_backward, []

    def forward(self, inputs):
        if not inputs.requires_grad:
            return super().forward(inputs)
        if len(inputs) > self.most and not self.in_backward:
            raise torch.OutOfMemoryError("no memory left")
        self.sizes.append(len(inputs))
        logits = super().forward(inputs)
        if len(inputs) > self.most:
            logits.register_hook(self.fail)
        return logits

    @staticmethod
    def fail(gradient):
        raise torch.OutOfMemoryError("no memory left")


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.filterwarnings("ignore:.*do not fit into")
def test_out_of_memory_halves_the_parts_and_loses_nothing(tmp_path, blobs, in_backward):
    expected = make(batch_size=13)
    whole = run_attack(trainer(tmp_path, 4), expected, blobs)
    victim = Limited(4, in_backward)
    module = make(victim, batch_size=13)
    with pytest.warns(UserWarning, match="13 queries do not fit .* going on with 7 at a time"):
        scores = run_attack(trainer(tmp_path, 4), module, blobs)
    assert module.parts.at_a_time.size == 4
    assert victim.sizes[-4:] == [4, 4, 4, 1]
    found = [each.outcome().tensors["perturbation"] for each in (scores, whole)]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(*[each.tally.losses(0) for each in (module, expected)])
    torch.testing.assert_close(*[each.attacks[0].victim.logits for each in (module, expected)])
    asked = [each.batches[0].asked.tolist() for each in (module, expected)]
    assert asked == [[4] * 13] * 2  # passes that failed are no questions


@pytest.mark.filterwarnings("ignore:.*do not fit into")
def test_queries_that_are_finished_are_found_in_parts_too(tmp_path, blobs):
    """The parts are of the queries left; each is judged by its own code."""
    options = {
        "objective": AnchorCode(), "step": far_step, "epsilon": 0.5, "stop_finished": True,
        "batch_size": 13,
    }  # fmt: skip
    whole = run_attack(trainer(tmp_path, 40), make(**options), blobs)
    scores = run_attack(trainer(tmp_path, 40), make(Limited(4, True), **options), blobs)
    counts = [
        [row["n_finished"] for row in rows_of(each, attack="dhta", metric="t_map")]
        for each in (scores, whole)
    ]
    assert counts[0] == counts[1]
    assert 3 <= counts[0][-1] < 13
    found, expected = (each.outcome().tensors["perturbation"] for each in (scores, whole))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.filterwarnings("ignore:.*do not fit into")
def test_memory_for_not_even_one_query(tmp_path, blobs, in_backward):
    with pytest.raises(torch.OutOfMemoryError, match="no memory left"):
        run_attack(trainer(tmp_path, 4), make(Limited(0, in_backward), batch_size=4), blobs)


@pytest.mark.parametrize("own", [True, False])
def test_the_filling_of_fresh_tensors_is_the_callers_again(monkeypatch, own):
    """On a GPU, where sums are to have one order, torch would fill them before they are written."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", own)
    with borrowed(TinyNet()):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory == own
