"""Hash models of clips: a CNN for each frame, an LSTM over time, a hash layer (DHTA 4.3)."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_hash.models.backbones import build_model
from lightning_hash.models.network import HashNetwork


class VideoNetwork(HashNetwork):
    """A hash network of clips ``(B, T, 3, H, W)`` in [0, 1]; all clips of a batch have T frames.

    Args:
        bits: K.
        frames: the network of a frame, without its hash layer: as a backbone of ``fit``.
        hidden: width of the LSTM, whose last state the hash layer sees.
        frame_weights: weights of the network of a frame, as ``weights`` of ``fit``.
        train_frames: train it too; DHTA trains LSTM and hash layer alone, on ImageNet features.
        chunk: frames that are passed at a time where gradients are computed; what they need is
            computed twice and not kept, so that memory does not grow with T. ``None`` passes all.

    Raises:
        ValueError: if an argument is out of its range, or the backbone or its weights are wrong.

    Example:
        >>> VideoNetwork(16, frames="convnet", hidden=8)(torch.rand(2, 5, 3, 32, 32)).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        bits: int,
        frames: str = "alexnet",
        hidden: int = 256,
        frame_weights: str | None = None,
        train_frames: bool = False,
        chunk: int | None = None,
    ) -> None:
        if hidden < 1 or (chunk is not None and chunk < 1):
            msg = f"hidden and chunk must be at least 1, got {hidden} and {chunk}"
            raise ValueError(msg)
        image = build_model(frames, bits, frame_weights)
        features = ClipFeatures(
            image.extractor, image.hash_layer.in_features, hidden, train_frames, chunk
        )
        self.extractor: ClipFeatures
        hash_layer = nn.Linear(hidden, bits)
        hash_layer.weight.data.mul_(8)  # as convnet's: the LSTM's state is small
        super().__init__(f"{frames}-lstm", features, hash_layer, pretrained=image.pretrained)

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the network of a frame."""
        return list(self.extractor.frames.parameters())

    def new_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the LSTM and of the hash layer."""
        return [*self.extractor.lstm.parameters(), *self.hash_layer.parameters()]


class ClipFeatures(nn.Module):
    """The last state of an LSTM over the features of a clip's frames.

    Args:
        frames: ``(N, 3, H, W)`` to ``(N, D)``, flattened where it has more dimensions.
        width: D.
        hidden: width of the LSTM.
        train_frames: whether ``frames`` is trained; where not, it stays in eval mode.
        chunk: frames at a time where gradients are computed; see :class:`VideoNetwork`.
    """

    def __init__(
        self, frames: nn.Module, width: int, hidden: int, train_frames: bool, chunk: int | None
    ) -> None:
        super().__init__()
        self.frames, self.train_frames, self.chunk = frames, train_frames, chunk
        self.lstm = nn.LSTM(width, hidden, batch_first=True)
        frames.requires_grad_(train_frames)

    def train(self, mode: bool = True) -> "ClipFeatures":
        """Set the mode; frames that are not trained keep their statistics."""
        super().train(mode)
        if not self.train_frames:
            self.frames.eval()
        return self

    def forward(self, clips: Tensor) -> Tensor:
        """Return ``(B, hidden)`` of clips ``(B, T, 3, H, W)``, normalised."""
        if clips.dim() != 5:
            msg = f"clips must have the shape (B, T, 3, H, W), got {tuple(clips.shape)}"
            raise ValueError(msg)
        images = clips.flatten(0, 1)
        if self.chunk is not None and torch.is_grad_enabled():
            parts = [
                checkpoint(self._features, part, use_reentrant=False)
                for part in torch.split(images, self.chunk)
            ]
            features = torch.cat(parts)
        else:
            features = self._features(images)
        # cuDNN has no backward pass of an LSTM in eval mode, in which victims are.
        with torch.backends.cudnn.flags(enabled=self.training and torch.backends.cudnn.enabled):
            _, (last, _) = self.lstm(features.reshape(*clips.shape[:2], -1))
        state: Tensor = last[-1]
        return state

    def _features(self, images: Tensor) -> Tensor:
        features: Tensor = self.frames(images)
        return features.flatten(1)
