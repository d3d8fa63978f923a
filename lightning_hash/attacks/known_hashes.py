"""Codes of a list of known hashes, which a query is to collide with."""

import hashlib
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lightning_hash.attacks.draws import query_draws
from lightning_hash.attacks.references import Known, Reference
from lightning_hash.codes.hash_lists import HASH_SUFFIXES, read_hashes
from lightning_hash.functional import hamming_distance, sign_code
from lightning_hash.utils.foreign_files import check_file
from lightning_hash.utils.numbers import check_seed

Choose = Literal["nearest", "drawn", "given"]


class KnownHashes(Reference):
    """A hash of a list for each query: a collision attack (Struppek et al., FAccT 2022).

    Nobody's labels are looked at, so that there is no t-MAP; :class:`CollisionSuccess` counts the
    queries that come near enough.

    Args:
        file: ``.hex`` or ``.b64``, see :func:`lightning_hash.codes.hash_lists.read_hashes`; its
            bits are in the victim's order.
        choose: ``"nearest"``, the hash nearest to the clean code, as in the paper, the first in the
            list of several; ``"drawn"``, one for each query, a function of seed and index;
            ``"given"``, the first hash for query 0, the second for query 1, and so on.
        seed: of the draws.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it holds no list of hashes, or an argument is unknown.
    """

    targeted = True
    has_label = False

    def __init__(self, file: str, choose: Choose = "nearest", seed: int = 0) -> None:
        if choose not in get_args(Choose):
            msg = f"choose must be one of {', '.join(get_args(Choose))}, got {choose!r}"
            raise ValueError(msg)
        check_seed("seed", seed)
        path = Path(file)
        if path.suffix not in HASH_SUFFIXES:
            msg = f"file {file}: a list of hashes ends in {' or '.join(HASH_SUFFIXES)}"
            raise ValueError(msg)
        check_file(path, f"file {file}")
        if not path.is_file():
            msg = f"file {file} does not exist; give a list with a hash a line"
            raise FileNotFoundError(msg)
        self.file, self.choose, self.seed = file, choose, seed
        self.hashes = read_hashes(path)

    def settings(self) -> dict[str, Any]:
        """Return the settings, with the sha256 of the hashes."""
        digest = hashlib.sha256(self.hashes.numpy().tobytes()).hexdigest()
        return {**super().settings(), "hashes_sha256": digest}

    def __call__(self, known: Known) -> Tensor:
        """Return the hash ``(Q, K)`` of each query."""
        codes = sign_code(known.clean_logits)
        hashes, bits = self.hashes.to(codes.device), codes.shape[1]
        if hashes.shape[1] != bits:
            msg = (
                f"file {self.file}: hashes of {hashes.shape[1]} bits, the victim's codes have "
                f"{bits}; they must be of one model"
            )
            raise ValueError(msg)
        return hashes[self._rows(known, codes, hashes)].to(known.clean_logits)

    def _rows(self, known: Known, codes: Tensor, hashes: Tensor) -> Tensor:
        if self.choose == "nearest":
            # Of equal distances the first, as argmin alone does not promise.
            key = hamming_distance(codes, hashes).long() * len(hashes)
            return (key + torch.arange(len(hashes), device=key.device)).argmin(dim=1)
        if known.index is None:
            msg = f"KnownHashes: choose {self.choose} needs the queries' indices"
            raise ValueError(msg)
        if self.choose == "drawn":
            draws = query_draws(self.seed, known.index, 0, 1)[:, 0]
            return (draws * len(hashes)).long()
        highest = int(known.index.max()) if len(known.index) else 0
        if highest >= len(hashes):
            msg = (
                f"file {self.file}: {len(hashes)} hashes, and none for query {highest}; choose "
                "nearest or drawn, or give one for each query"
            )
            raise ValueError(msg)
        return known.index
