"""Hash models of clips: a CNN for each frame, an LSTM over time, a hash layer (DHTA 4.3)."""

from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_hash.functional.frames import frame_mask, places_of
from lightning_hash.models.backbones import build_model
from lightning_hash.models.network import HashNetwork


class VideoNetwork(HashNetwork):
    """A hash network of clips ``(B, T, 3, H, W)`` in [0, 1].

    Clips of fewer than T frames have anything behind them, and their number of frames in
    ``lengths``; what is behind changes neither code nor gradient, and costs no pass of the CNN.

    Args:
        bits: K.
        frames: the network of a frame, without its hash layer: as a backbone of ``fit``.
        hidden: width of the LSTM, whose last state the hash layer sees.
        weights: of the network of a frame, as ``weights`` of ``fit``.
        train_frames: train it too; DHTA trains LSTM and hash layer alone, on ImageNet features.
        chunk: frames that are passed at a time. What a gradient needs of them is then computed
            twice and not kept, so that memory does not grow with the number of frames; batch norms
            of a network of a frame that is trained see these frames alone. ``None`` passes all of a
            batch at once.

    Raises:
        ValueError: if an argument is out of its range, or the backbone or its weights are wrong.

    Example:
        >>> network = VideoNetwork(16, frames="convnet", hidden=8)
        >>> network(torch.rand(2, 5, 3, 32, 32)).shape
        torch.Size([2, 16])
        >>> network(torch.rand(2, 5, 3, 32, 32), torch.tensor([5, 3])).shape
        torch.Size([2, 16])
    """

    extractor: "ClipFeatures"

    def __init__(
        self,
        bits: int,
        frames: str = "alexnet",
        hidden: int = 256,
        weights: str | None = None,
        train_frames: bool = False,
        chunk: int | None = None,
    ) -> None:
        if hidden < 1 or (chunk is not None and chunk < 1):
            msg = f"hidden and chunk must be at least 1, got {hidden} and {chunk}"
            raise ValueError(msg)
        image = build_model(frames, bits, weights)
        extractor = ClipFeatures(image.extractor, image.hash_layer.in_features, hidden)
        hash_layer = nn.Linear(hidden, bits)
        hash_layer.weight.data.mul_(8)  # as convnet's: the LSTM's state is small
        mean, std = tuple(image.mean.tolist()), tuple(image.std.tolist())
        super().__init__(
            f"{frames}-lstm", extractor, hash_layer, mean, std, pretrained=image.pretrained
        )
        self.train_frames, self.chunk = train_frames, chunk
        extractor.frames.requires_grad_(train_frames)
        self.train()  # Lightning starts a training in the mode that the model is in

    def freeze(self) -> None:
        """Keep the network of a frame as it is."""
        self.train_frames = False
        self.extractor.frames.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a network of a frame that is not trained keeps its statistics."""
        super().train(mode)
        if not self.train_frames:
            self.extractor.frames.eval()
        return self

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the logits H(x).

        Args:
            inputs: ``(B, T, 3, H, W)`` floating in [0, 1], or ``(B, T, D)``, what
                :meth:`frame_features` gives of them.
            lengths: ``(B,)`` int64 in [1, T], the frames of each clip; T by default.

        Returns:
            ``(B, K)``, before any activation.

        Raises:
            ValueError: if the inputs have another shape.
        """
        given = () if lengths is None else (lengths,)
        logits: Tensor = self.hash_layer(self.features(inputs, *given))
        return logits

    def features(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        """Return what the hash layer sees, ``(B, hidden)``; as :meth:`forward`."""
        frames = inputs
        if inputs.dim() != 3:
            masks = (frame_mask(each, inputs.shape[1]) for each in lengths)
            frames = self.frame_features(inputs, *masks)
        state: Tensor = self.extractor(frames, *lengths)
        return state

    def frame_features(
        self, clips: Tensor, passed: Tensor | None = None, others: Tensor | None = None
    ) -> Tensor:
        """Return the features of each frame, ``(B, T, D)``.

        Args:
            clips: ``(B, T, 3, H, W)`` floating in [0, 1].
            passed: the frames to pass through the network, bool ``(B, T)`` or int64 ``(n,)``, their
                places in the flattened clips, which a GPU need not be waited for; all by default.
            others: ``(B, T, D)``, the features of those that are not passed; zeros by default.

        Raises:
            ValueError: if the clips have another shape.
        """
        if clips.dim() != 5:
            msg = (
                f"clips must have the shape (B, T, 3, H, W), got {tuple(clips.shape)}; data of "
                "files give clips where `frames` is given"
            )
            raise ValueError(msg)
        images = clips.flatten(0, 1)
        if passed is not None:
            passed = places_of(passed) if passed.dtype == torch.bool else passed
            images = images[passed]
        parts = torch.split(images, self.chunk or max(1, len(images)))
        if self.chunk is not None and torch.is_grad_enabled():
            found = [checkpoint(self._of_images, part, use_reentrant=False) for part in parts]
        else:
            found = [self._of_images(part) for part in parts]
        features = torch.cat(found)
        if passed is None:
            return features.view(*clips.shape[:2], features.shape[1])
        empty = features.new_zeros(*clips.shape[:2], features.shape[1])
        whole = empty if others is None else others.clone()
        whole.flatten(0, 1)[passed] = features
        return whole

    def _of_images(self, images: Tensor) -> Tensor:
        features: Tensor = self.extractor.frames(self.normalize(images))
        return features.flatten(1)

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the network of a frame."""
        return list(self.extractor.frames.parameters())

    def new_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the LSTM and of the hash layer."""
        return [*self.extractor.lstm.parameters(), *self.hash_layer.parameters()]


class ClipFeatures(nn.Module):
    """The network of a frame, and an LSTM over what it gives.

    Args:
        frames: ``(N, 3, H, W)`` normalised to ``(N, D)``, flattened where it has more dimensions.
        width: D.
        hidden: width of the LSTM.
    """

    def __init__(self, frames: nn.Module, width: int, hidden: int) -> None:
        super().__init__()
        self.frames = frames
        self.lstm = nn.LSTM(width, hidden, batch_first=True)
        # Forget gates begin open, so that the first frames reach the last state.
        nn.init.ones_(self.lstm.get_parameter("bias_hh_l0")[hidden : 2 * hidden])

    def forward(self, features: Tensor, *lengths: Tensor) -> Tensor:
        """Return the LSTM's state at the end of each clip.

        Args:
            features: ``(B, T, D)``, of each frame.
            lengths: nothing, or ``(B,)`` int64 in [1, T]: the LSTM does not look ahead, so that
                what stands behind a clip's end does not matter.

        Returns:
            ``(B, hidden)``.
        """
        mode = self.lstm.training
        # cuDNN has no backward pass of an LSTM in eval mode; without dropout both modes are equal.
        self.lstm.training = mode or torch.is_grad_enabled()
        try:  # memory may run out, and the same pass be tried in parts
            states, _ = self.lstm(features.to(self.lstm.bias_ih_l0.dtype))  # type: ignore[arg-type]
        finally:
            self.lstm.training = mode
        rows = torch.arange(len(states), device=states.device)
        last: Tensor = states[rows, lengths[0] - 1] if lengths else states[:, -1]
        return last
