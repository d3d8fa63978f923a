"""Attacks on a code that stands for a whole label: CgAT's centre code, SAAT's mainstay code."""

from lightning_hash.attacks.objectives.anchor import AnchorCode
from lightning_hash.attacks.references import CenterCodes, MainstayCodes


class CgAT(AnchorCode):
    """Attack the centre code of a label (Wang et al., WWW 2023).

    Minimises mean_k F(x')_k b_k, with F = tanh(alpha H) and b the code of the query's own label; in
    a targeted attack -mean_k F(x')_k b_k, with that of the target's.

    Args:
        targeted: attack the target's label.

    Example:
        >>> CgAT(targeted=True).name
        'cgat-targeted'
    """

    def __init__(self, targeted: bool = False) -> None:
        super().__init__()
        self.reference = CenterCodes(targeted)
        self.name = "cgat-targeted" if targeted else "cgat"


class SAAT(AnchorCode):
    """Attack the mainstay code of a label (Yuan et al., TIFS 2023).

    Minimises mean_k F(x')_k b_k as :class:`CgAT` does, with another code.

    Args:
        targeted: attack the target's label.
    """

    def __init__(self, targeted: bool = False) -> None:
        super().__init__()
        self.reference = MainstayCodes(targeted)
        self.name = "saat-targeted" if targeted else "saat"
