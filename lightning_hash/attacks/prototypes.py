"""Codes of labels that a small network has learnt from the codes of items (THA)."""

import torch
from torch import Tensor, nn

from lightning_hash.attacks.draws import query_generator
from lightning_hash.attacks.references import Known, OfLabel, Voters
from lightning_hash.functional import circle_loss, sign_code
from lightning_hash.utils.numbers import check_seed

WIDTHS = 4096, 512
BATCH, RATE, BETAS = 32, 1e-4, (0.5, 0.999)
QUANTIZATION = 1e-4  # weight of (sign h - h)^2


class PrototypeCodes(OfLabel):
    """The prototype code of the target's label (THA, Wang et al., arXiv 2105.07553).

    sign(h), h what a network C-4096-512-K with a tanh makes of a label. It is trained once, before
    the first iteration, on the codes and labels of the voters: each step draws 32 of the label
    vectors that targets come from and minimises their circle loss against all voters plus
    1e-4 sum (sign h - h)^2, both over 32, by Adam at 1e-4, betas 0.5 and 0.999, a tenth of it from
    half of the steps on and a hundredth from three quarters on. Weights and draws are functions of
    the seed, so that each process, and an attack that goes on, has the same network. 30,000 steps
    take minutes on one core.

    Args:
        voters: whose codes and labels it learns: see :class:`lightning_hash.attacks.CenterCodes`.
        steps: of the training; 30,000 in the authors' code.
        seed: seed of weights and draws.

    Raises:
        ValueError: if ``voters`` is unknown, or ``steps`` below 1.
    """

    def __init__(self, voters: Voters = "database", steps: int = 30_000, seed: int = 0) -> None:
        if steps < 1:
            msg = f"steps must be at least 1, got {steps}"
            raise ValueError(msg)
        check_seed("seed", seed)
        super().__init__(targeted=True, voters=voters)
        self.steps, self.seed = steps, seed
        # Of each victim what it has learnt from, which is held so that it stays itself.
        self._learned: list[tuple[Tensor, Tensor, nn.Module]] = []

    def __call__(self, known: Known) -> Tensor:
        """Return the codes ``(Q, K)`` of the targets' labels."""
        labels, (codes, item_labels) = self.labels_and_items(known)
        assert known.voters is not None  # there are targets
        network = self._network(codes, item_labels, known.voters[1].cpu())
        with torch.no_grad():
            return sign_code(network(labels.float())).to(known.clean_logits)

    def _network(self, codes: Tensor, labels: Tensor, targets: Tensor) -> nn.Module:
        for kept, kept_labels, network in self._learned:
            if _same(kept, codes) and _same(kept_labels, labels):
                return network
        network = self._train(codes, labels, targets)
        self._learned.append((codes, labels, network))
        return network

    @torch.enable_grad()
    def _train(self, codes: Tensor, labels: Tensor, targets: Tensor) -> nn.Module:
        """Return the network, trained on the CPU: it is the same wherever the attack runs."""
        items, bits = codes.float(), codes.shape[1]
        vectors = torch.unique(targets, dim=0).float()
        shared = vectors @ labels.float().T > 0
        network = _network(vectors.shape[1], bits, self.seed)
        # Four times as fast as one parameter at a time, which is most of a step.
        optimizer = torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, fused=True)
        places = [self.steps // 2, self.steps * 3 // 4]
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, places, gamma=0.1)
        few = len(vectors) <= BATCH  # each is drawn several times, and passed once
        generator = query_generator(f"{self.seed}/prototypes")
        drawn = torch.randint(len(vectors), (self.steps, BATCH), generator=generator)
        for rows in drawn:
            made = network(vectors)[rows] if few else network(vectors[rows])
            loss = circle_loss(made @ items.T / bits, shared[rows])
            loss = loss + QUANTIZATION * (made.sign() - made).square().sum()
            optimizer.zero_grad()
            (loss / BATCH).backward()
            optimizer.step()
            scheduler.step()
        return network.requires_grad_(requires_grad=False)


def _network(classes: int, bits: int, seed: int) -> nn.Module:
    """Return the network with weights that the seed decides."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(classes, WIDTHS[0]), nn.ReLU(), nn.Linear(*WIDTHS),
            nn.Linear(WIDTHS[1], bits), nn.Tanh(),
        )  # fmt: skip


def _same(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are the same memory."""
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape
