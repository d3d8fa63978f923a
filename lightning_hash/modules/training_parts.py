"""Parts of a training that do not go together."""

from torch import nn

from lightning_hash.losses import PairLoss
from lightning_hash.models.closed_form import ClosedForm
from lightning_hash.models.network import HashNetwork
from lightning_hash.models.video import VideoNetwork
from lightning_hash.utils.settings import sha256_of


def check_parts(
    network: nn.Module,
    name: str,
    bits: int,
    loss: nn.Module,
    *,
    code_bank: bool,
    feature_cache: str | None,
    pretrained_lr_scale: float,
    head: ClosedForm | None,
) -> None:
    """Refuse parts that do not go together.

    Args:
        network: makes the logits.
        name: its own.
        bits: code length K.
        loss: the loss.
        code_bank: whether it pairs items with those of a bank.
        feature_cache: folder of cached features, where there is one.
        pretrained_lr_scale: rate of the layers before the hash layer, as a fraction of its own.
        head: computes the hash layer, where it does.

    Raises:
        ValueError: naming the part, and what it goes with.
    """
    own = getattr(network, "bits", bits)
    if isinstance(own, int) and own != bits:
        msg = f"bits = {bits}, but the network {name} has {own}; give {own}"
        raise ValueError(msg)
    if code_bank and not isinstance(loss, PairLoss):
        msg = (
            "code_bank goes with a loss over pairs (PairwiseLoss, HashNetLoss, DPSHLoss, DCHLoss, "
            f"DeepVideoLoss, DSHLoss, IDHNLoss, DSDHLoss), got {type(loss).__name__}"
        )
        raise ValueError(msg)
    if feature_cache is not None and not isinstance(network, VideoNetwork):
        msg = f"feature_cache goes with VideoNetwork, got {name}"
        raise ValueError(msg)
    if head is None and pretrained_lr_scale == 1:
        return
    said = f"pretrained_lr_scale {pretrained_lr_scale:g}"
    said = said if head is None else f"head {type(head).__name__}"
    if not isinstance(network, HashNetwork):
        msg = f"{said} goes with a named backbone, whose hash layer is known; got {name}"
        raise ValueError(msg)
    layer = network.hash_layer
    if head is not None and (type(layer) is not nn.Linear or layer.bias is None):
        msg = (
            f"{said} goes with a linear hash layer that has a bias; that of {name} is a "
            f"{type(layer).__name__}"
        )
        raise ValueError(msg)


def check_cache(network: nn.Module, made_with: str | None) -> None:
    """Refuse cached features that are not those of the network that is trained.

    Args:
        network: as it is trained, with the weights of a checkpoint that goes on.
        made_with: sha256 of the network of a frame that made the features, where there are any.

    Raises:
        ValueError: if it is another.
    """
    if made_with is None or not isinstance(network, VideoNetwork):
        return
    if sha256_of(network.extractor.frames.state_dict()) != made_with:
        msg = (
            "feature_cache: the checkpoint's network of a frame is not the one that the features "
            "were made with; go on with the same weights and seed, or without feature_cache"
        )
        raise ValueError(msg)
