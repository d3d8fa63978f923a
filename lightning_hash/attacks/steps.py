"""Step rules of the attacks beside torch.optim's own (SGD with momentum is torch.optim.SGD).

Each treats the first dimension of a parameter as the queries and steps every query by itself. A new
rule is a subclass of :class:`Step` with a ``direction``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from lightning_hash.attacks.per_row import per_row
from lightning_hash.attacks.rules import Rule
from lightning_hash.utils.numbers import check_weight

# Values in one input of 224 x 224 x 3, for which the DHTA authors' step of 1 was chosen.
REFERENCE_SIZE = 224 * 224 * 3
# HAG's learning rate of 500 on the 0..255 scale, on [0, 1], and the iterations it is meant for.
HAG_RATE, HAG_ITERATIONS = 500 / 255**2, 2000


class Step(Rule, ABC):
    """Base of step rules: step by ``lr`` along a direction made of each query's gradient.

    Args:
        params: parameters of shape ``(B, ...)``.
        lr: length of the step.
        defaults: what else :meth:`direction` finds in its group.

    Raises:
        ValueError: if ``lr`` is not positive.
    """

    def __init__(self, params: ParamsT, lr: float, **defaults: Any) -> None:
        check_weight("lr", lr, positive=True)
        super().__init__(params, {"lr": lr, **defaults})

    @abstractmethod
    def direction(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Turn the gradient ``(B, ...)`` into a direction of the same shape.

        A rule that remembers something keeps it, a row per query, in ``self.state[parameter]``.
        """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; ``closure``, where given, computes the loss and the gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    direction = self.direction(parameter, parameter.grad, group)
                    parameter.add_(direction, alpha=-group["lr"])
        return loss


class SignStep(Step):
    """Step by the gradient's sign (PGD in the L-infinity ball).

    Args:
        params: parameters of shape ``(B, ...)``.
        lr: change of every value per step, in the units of the perturbation.

    Raises:
        ValueError: if ``lr`` is not positive.
    """

    def __init__(self, params: ParamsT, lr: float = 1 / 255) -> None:
        super().__init__(params, lr)

    def direction(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Return the sign of each value; 0 where the gradient is 0."""
        return gradient.sign()


class MomentumSignStep(Step):
    """Step by the sign of accumulated gradients (MI-FGSM, Dong et al., CVPR 2018, Eq. 6 and 7).

    g = momentum g + gradient / mean |gradient|, per query; a query without a gradient adds nothing.
    The mean is that of the authors' code, where the paper has the sum: the sign does not see the
    difference, the look-ahead of :class:`NesterovSignStep` does. Frames of a clip ``(T, 3, H, W)``
    without any gradient, such as padding, do not count.

    Args:
        params: parameters of shape ``(B, ...)``.
        lr: change of every value per step, in the units of the perturbation.
        momentum: mu of Eq. 6, not negative; 1 in the paper.

    Raises:
        ValueError: if ``lr`` is not positive or ``momentum`` negative.

    Example:
        >>> x = torch.nn.Parameter(torch.zeros(1, 2))
        >>> step = MomentumSignStep([x], lr=0.5)
        >>> for gradient in ([3.0, -1.0], [-1.0, 0.0]):
        ...     x.grad = torch.tensor([gradient])
        ...     _ = step.step()
        >>> x.tolist()
        [[0.0, 1.0]]
    """

    def __init__(self, params: ParamsT, lr: float = 1 / 255, momentum: float = 1.0) -> None:
        check_weight("momentum", momentum)
        super().__init__(params, lr, momentum=momentum)

    def direction(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Accumulate the gradient and return the sign of what there is."""
        mean = gradient.flatten(1).abs().sum(dim=1, keepdim=True) / _live_values(gradient)
        mean = per_row(mean, gradient)
        unit = gradient / torch.where(mean > 0, mean, 1.0)
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum: Tensor = state["momentum"]
        momentum.mul_(group["momentum"]).add_(unit)
        return momentum.sign()


class NesterovSignStep(MomentumSignStep):
    """As :class:`MomentumSignStep`, with the gradient taken ahead (NI-FGSM, Lin et al., ICLR 2020).

    The gradient is that at x - lr momentum g, with g of mean size 1 after the first step: about a
    step ahead, further the longer the gradients agree, and clipped to no budget, as in the authors'
    ni_fgsm.py.
    """

    looks_ahead = True

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: computes the loss and the gradients.

        Raises:
            ValueError: without a closure: the gradients would be those of another place.
        """
        if closure is None:
            msg = "NesterovSignStep needs a closure, which computes the gradients ahead"
            raise ValueError(msg)
        moved = []
        for group in self.param_groups:
            for parameter in group["params"]:
                momentum = self.state.get(parameter, {}).get("momentum")
                if momentum is not None:
                    moved.append((parameter, parameter.clone()))
                    parameter.add_(momentum, alpha=-group["lr"] * group["momentum"])
        with torch.enable_grad():
            loss = closure()
        for parameter, before in moved:
            parameter.copy_(before)
        super().step()
        return loss


class AccumulatedSignStep(Step):
    """Step by the sign of the sum of all gradients so far, none scaled (PTA's public code).

    That code never sets the gradient to zero, so that its backward passes add up.

    Args:
        params: parameters of shape ``(B, ...)``.
        lr: change of every value per step, in the units of the perturbation.

    Raises:
        ValueError: if ``lr`` is not positive.

    Example:
        >>> x = torch.nn.Parameter(torch.zeros(1, 2))
        >>> step = AccumulatedSignStep([x], lr=0.5)
        >>> for gradient in ([3.0, -1.0], [-1.0, 1.0]):
        ...     x.grad = torch.tensor([gradient])
        ...     _ = step.step()
        >>> x.tolist()
        [[-1.0, 0.5]]
    """

    def __init__(self, params: ParamsT, lr: float = 1 / 255) -> None:
        super().__init__(params, lr)

    def direction(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Add the gradient and return the sign of the sum."""
        state = self.state[parameter]
        state["sum"] = state["sum"] + gradient if "sum" in state else gradient.clone()
        total: Tensor = state["sum"]
        return total.sign()


class NormalizedStep(Step):
    """Step by the gradient over its L2 norm, per query (the DHTA authors' public code).

    Args:
        params: parameters of shape ``(B, ...)``.
        lr: L2 length of one step for an input of ``reference_size`` values.
        reference_size: for inputs of n values the length is lr * sqrt(n / reference_size), so that
            the change per value stays; ``None`` keeps ``lr`` for every size. Frames of a clip
            ``(T, 3, H, W)`` without any gradient, such as padding, do not count.

    Raises:
        ValueError: if ``lr`` or ``reference_size`` is not positive.

    Example:
        >>> x = torch.nn.Parameter(torch.zeros(2, 2))
        >>> x.grad = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
        >>> _ = NormalizedStep([x], lr=1.0, reference_size=None).step()
        >>> x.tolist()
        [[-0.6000000238418579, -0.800000011920929], [0.0, 0.0]]
    """

    def __init__(
        self, params: ParamsT, lr: float = 1.0, reference_size: int | None = REFERENCE_SIZE
    ) -> None:
        if reference_size is not None and reference_size < 1:
            msg = f"reference_size must be positive or null, got {reference_size}"
            raise ValueError(msg)
        super().__init__(params, lr, reference_size=reference_size)

    def direction(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Return the gradient at the length of the step; 0 for a query whose gradient is 0."""
        flat = gradient.flatten(1)
        norm = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        length: float | Tensor = 1.0
        if group["reference_size"] is not None:
            length = (_live_values(gradient) / group["reference_size"]) ** 0.5
        unit: Tensor = flat / norm.clamp(min=torch.finfo(norm.dtype).tiny)
        return (unit * length).view_as(gradient)


def _live_values(gradient: Tensor) -> Tensor | int:
    """Return the values of each query; of clips ``(B, 1)``, of frames that have a gradient."""
    if gradient.dim() != 5:
        return gradient.shape[1:].numel()
    live = gradient.flatten(2).any(dim=2).sum(dim=1, keepdim=True)
    return live.to(gradient.dtype) * gradient.shape[2:].numel()


def step_of_the_papers_way(iterations: int) -> Callable[[Iterable[Any]], Optimizer]:
    """Return HAG's step, SGD with momentum 0.9, so that it goes as far as in the paper.

    Args:
        iterations: how many there are; at the paper's 2000 the rate is its 500 on the 0..255 scale,
            7.7e-3 on [0, 1], at fewer it is as much higher.

    Returns:
        Makes the optimizer of parameters.

    Example:
        >>> step_of_the_papers_way(2000)([torch.zeros(1)]).defaults["lr"] * 255**2
        500.0
    """
    rate = HAG_RATE * HAG_ITERATIONS / max(1, iterations)
    return lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=0.9)
