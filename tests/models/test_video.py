"""Hash models of clips."""

from contextlib import nullcontext

import pytest
import torch
import torchvision

from lightning_hash.models import VideoNetwork
from lightning_hash.models.build import build_network
from lightning_hash.modules import HashModule
from lightning_hash.victims import Victim
from lightning_hash.victims.borrow import exact_arithmetic
from lightning_hash.victims.victim import load_victim


def network(**options):
    torch.manual_seed(0)
    return VideoNetwork(6, **{"frames": "convnet", "hidden": 5, **options})


def clips(batch=2, frames=4, size=24):
    return torch.rand(batch, frames, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_equals_frame_by_frame():
    """The LSTM's last state over the features of each frame, by its cell's equations."""
    model, inputs = network().eval(), clips()
    features, lstm = model.extractor.frames, model.extractor.lstm
    mean, std = model.mean.view(-1, 1, 1), model.std.view(-1, 1, 1)
    state, cell = torch.zeros(2, 5), torch.zeros(2, 5)
    for frame in inputs.unbind(1):
        seen = features((frame - mean) / std)
        gates = seen @ lstm.weight_ih_l0.T + lstm.bias_ih_l0
        gates = gates + state @ lstm.weight_hh_l0.T + lstm.bias_hh_l0
        start, forget, change, out = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + start.sigmoid() * change.tanh()
        state = out.sigmoid() * cell.tanh()
    torch.testing.assert_close(model(inputs), model.hash_layer(state))


def test_order_of_frames_matters():
    model, inputs = network().eval(), clips()
    assert not torch.allclose(model(inputs), model(inputs.flip(1)), atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_change_nothing(chunk):
    whole, parts = network().eval(), network(chunk=chunk).eval()
    gradients = []
    for model in (whole, parts):
        inputs = clips().requires_grad_()
        model(inputs).square().sum().backward()
        gradients.append(inputs.grad)
    torch.testing.assert_close(gradients[0], gradients[1])
    with torch.no_grad():
        torch.testing.assert_close(whole(clips()), parts(clips()))


def test_frames_that_are_not_trained_keep_weights_and_statistics():
    model = network()  # as built: Lightning sets no mode
    before = {name: value.clone() for name, value in model.extractor.frames.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(clips()).square().sum().backward()
    optimizer.step()
    after = model.extractor.frames.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(p.requires_grad for p in model.pretrained_parameters())
    assert len(model.new_parameters()) == 4 + 2
    trained = network(train_frames=True).train()
    trained(clips())
    statistics = trained.extractor.frames.state_dict()
    assert not all(torch.equal(statistics[name], value) for name, value in before.items())


def test_an_attack_sees_the_pixels_of_every_frame():
    victim = Victim(network(train_frames=True).eval())
    inputs = clips().requires_grad_()
    victim(inputs).sum().backward()
    assert (inputs.grad.flatten(2).abs().sum(dim=2) > 0).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_backward_in_eval_mode_on_cudnn():
    victim = Victim(network().cuda().eval())
    inputs = clips().cuda().requires_grad_()
    with exact_arithmetic():  # TF32's error is above what is allowed here
        victim(inputs).sum().backward()
    expected = clips().requires_grad_()
    Victim(network().eval())(expected).sum().backward()
    torch.testing.assert_close(inputs.grad.cpu(), expected.grad, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("memory", [True, False])
def test_the_mode_in_which_the_lstm_was_is_kept(monkeypatch, memory):
    """It runs in train mode where gradients are wanted, for cuDNN's sake."""
    model, modes = network().eval(), []
    lstm = model.extractor.lstm
    run = lstm.forward

    def noted(*args):
        modes.append(lstm.training)
        if not memory:
            raise torch.OutOfMemoryError("no memory left")
        return run(*args)

    monkeypatch.setattr(lstm, "forward", noted)
    for wanted in (True, False):
        with (
            torch.set_grad_enabled(wanted),
            nullcontext() if memory else pytest.raises(torch.OutOfMemoryError),
        ):
            model(clips())
        assert not lstm.training
    assert modes == [True, False]


def test_wrong_options():
    with pytest.raises(ValueError, match="hidden and chunk must be at least 1, got 0 and None"):
        network(hidden=0)
    with pytest.raises(ValueError, match=r"shape \(B, T, 3, H, W\), got \(2, 3, 8, 8\)"):
        network()(torch.rand(2, 3, 8, 8))


DESCRIPTION = {"class_path": "lightning_hash.models.VideoNetwork", "init_args": {"hidden": 4}}


def test_bits_and_weights_are_those_of_the_model(tmp_path):
    """As for a named backbone: --model.bits and --model.weights, in no second place."""
    alexnet = torchvision.models.alexnet(weights=None)
    torch.save(alexnet.state_dict(), tmp_path / "alexnet.pth")
    model = build_network(DESCRIPTION, 12, str(tmp_path / "alexnet.pth"))
    assert (model.bits, model.pretrained, model.backbone) == (12, True, "alexnet-lstm")
    torch.testing.assert_close(
        model.extractor.frames.features[0].weight, alexnet.features[0].weight
    )
    own = {**DESCRIPTION, "init_args": {"hidden": 4, "bits": 5}}
    assert build_network(own, 12).bits == 5  # HashModule then says what is wrong
    with pytest.raises(ValueError, match=r"takes them; torch\.nn\.Flatten has its own"):
        build_network({"class_path": "torch.nn.Flatten"}, 8, "DEFAULT")


def test_a_victim_is_loaded_without_the_weights_it_began_with(tmp_path):
    """Its checkpoint has its weights; the file of the pretrained ones may be gone."""
    alexnet = tmp_path / "alexnet.pth"
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), alexnet)
    backbone = {**DESCRIPTION, "init_args": {"hidden": 4, "weights": str(alexnet)}}
    module = HashModule(backbone, 8)
    checkpoint = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "victim.ckpt")
    alexnet.unlink()
    victim = load_victim(tmp_path / "victim.ckpt")
    assert victim.sha256 == module.as_victim().sha256


def test_a_process_without_clips():
    model = network().eval()
    assert model(clips()[:0]).shape == (0, 6)
    assert model(clips()[:0], torch.ones(2, dtype=torch.int64)[:0]).shape == (0, 6)


def test_an_argument_beside_init_args_is_not_ignored():
    with pytest.raises(ValueError, match="must be class_path and init_args, got hidden beside"):
        build_network({**DESCRIPTION, "hidden": 8}, 12)


def test_a_victim_of_clips_is_named_by_its_networks(tmp_path):
    module = HashModule({**DESCRIPTION, "init_args": {"frames": "convnet", "hidden": 4}}, 8)
    assert module.as_victim().backbone == "convnet-lstm"
