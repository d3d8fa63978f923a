"""Searches: attacks that ask the victim and see no gradient."""

from lightning_hash.attacks.searches.nes import NES
from lightning_hash.attacks.searches.proposals import Proposal, Proposals
from lightning_hash.attacks.searches.signhunter import SignHunter
from lightning_hash.attacks.searches.square import Square

__all__ = ["NES", "Proposal", "Proposals", "SignHunter", "Square"]
