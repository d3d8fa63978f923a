"""Attacks on a code that stands for a whole label: CgAT's centre code, SAAT's mainstay code."""

from abc import abstractmethod

import torch
from torch import Tensor

from lightning_hash.attacks.objectives.anchor import AnchorCode
from lightning_hash.attacks.objectives.base import ReferenceState
from lightning_hash.functional import center_code, mainstay_code


class LabelCode(AnchorCode):
    """Push the code away from that of the query's own label, or pull it to that of the target's.

    As DHTA with another code: minimises mean_k F(x')_k b_k, with F = tanh(alpha H) and b the code
    of the query's own label; in a targeted attack -mean_k F(x')_k b_k, with that of the target's.

    Args:
        targeted: attack the target's label.
    """

    needs_database = True
    method: str

    def __init__(self, targeted: bool = False) -> None:
        super().__init__()
        self.targeted = targeted
        self.name = f"{self.method}-targeted" if targeted else self.method

    @staticmethod
    @abstractmethod
    def code(labels: Tensor, codes: Tensor, database_labels: Tensor) -> Tensor:
        """Return b ``(Q, K)`` of labels ``(Q, C)`` from the codes and labels of N items."""

    def reference(self, state: ReferenceState) -> Tensor:
        """Return b ``(Q, K)``; its negative where the code is pushed away.

        Raises:
            ValueError: if there is no database, or no target for a targeted attack.
        """
        labels = state.target_labels if self.targeted else state.labels
        items = state.voters if self.targeted else state.database
        if labels is None or items is None:
            what = "a target per query" if items is not None else "a database of codes and labels"
            msg = f"{type(self).__name__} needs {what}"
            raise ValueError(msg)
        # A query's label is one of few: each code is computed once.
        rows, place = torch.unique(labels.cpu(), dim=0, return_inverse=True)
        codes = self.code(rows, items[0].cpu(), items[1].cpu())[place].to(state.clean_logits)
        return codes if self.targeted else -codes


class CgAT(LabelCode):
    """Attack the centre code of a label (Wang et al., WWW 2023).

    Example:
        >>> CgAT(targeted=True).name
        'cgat-targeted'
    """

    method = "cgat"
    code = staticmethod(center_code)


class SAAT(LabelCode):
    """Attack the mainstay code of a label (Yuan et al., TIFS 2023)."""

    method = "saat"
    code = staticmethod(mainstay_code)
