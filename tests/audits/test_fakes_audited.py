"""Planted fakes in a whole audit: the card names what is wrong with each."""

from dataclasses import replace

import pytest
import torch

import lightning_hash
from lightning_hash.audits import believe
from lightning_hash.audits.audit import Audit
from lightning_hash.audits.suite import V1_QUICK
from lightning_hash.audits.threats import read_threats
from lightning_hash.audits.wanted import Wanted
from lightning_hash.victims import Victim
from tests.audits.test_fakes import CAUGHT, fake
from tests.helpers import fakes
from tests.helpers.attacks import trainer
from tests.helpers.gratings import GratingData, trained_network

ONCE = {
    "random-outputs", "train-mode", "random-weights", "chance", "codes-collapsed", "noise",
    "large-epsilon",
}  # fmt: skip
SIDES = {"zero-gradient", "black-box-beats-gradients"}
LONGER = {"more-iterations", "restarts"}


@pytest.fixture(scope="module")
def honest():
    with torch.random.fork_rng():
        return trained_network()


def audited(network, folder, *, longer=False, **options):
    """Audit at linf-8 with the short form; ``longer`` runs attacks again as the long form does."""
    wanted = Wanted(
        threats=read_threats(["linf-8"]), suite=replace(V1_QUICK, checks_longer=longer), **options
    )

    def make(**more):
        found = {"iterations": more.pop("max_epochs"), **more}
        return trainer(folder, **{**found, "log_every_n_steps": 10})

    return Audit(Victim(network), GratingData(), wanted, folder / "audit", make).run()


def failed(card):
    return {check.name for check in card.checks if check.failed}


@pytest.mark.slow
def test_the_card_of_an_honest_victim_has_no_warning(honest, tmp_path):
    card = audited(honest, tmp_path, longer=True, smallest=True)
    assert not failed(card), card.checks
    names = [check.name for check in card.checks]
    assert sorted(names) == sorted([*ONCE, *SIDES, *SIDES, *LONGER])
    assert {check.name: check.threshold for check in card.checks} == believe.THRESHOLDS
    (threat,) = card.threats
    assert [point.epsilon for point in threat.curve] == [f"{n}/255" for n in (1, 2, 4, 8, 16)]
    values = [point.worst.value for point in threat.curve]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.9
    at_eight = threat.curve[3]
    assert at_eight.worst.value <= threat.untargeted.worst.value
    counts = [point.broken for point in threat.curve]
    for point, count in zip(threat.curve, counts, strict=True):
        level = int(point.epsilon.partition("/")[0]) / 255
        small = [each for each in threat.smallest if each is not None and each <= level + 1e-9]
        assert len(small) == count  # bisection between two points claims nothing at either


@pytest.mark.slow
@pytest.mark.parametrize("kind", CAUGHT, ids=lambda kind: kind.__name__)
def test_the_card_of_a_fake_names_it(kind, honest, tmp_path):
    card = audited(fake(kind, honest), tmp_path, curve=())
    assert CAUGHT[kind] in failed(card), card.checks
    said = [check for check in card.checks if check.failed and check.name == CAUGHT[kind]]
    assert all(check.said and check.remedy for check in said)


@pytest.mark.slow
def test_the_card_of_a_victim_that_is_flat_at_clean_images(honest, tmp_path):
    card = audited(fake(fakes.Flat, honest), tmp_path, longer=True, curve=())
    assert failed(card) == {"restarts"}, card.checks


@pytest.mark.slow
def test_the_card_without_labels_looks_at_neither_chance_nor_weights(honest):
    data = GratingData()
    data.setup("predict")
    queries, database = data.query_set.images[:8], data.database_set.images
    card = lightning_hash.audit(honest, (queries, None), (database, None), quick=True, curve=())
    unknown = {check.name for check in card.checks if check.figure is None}
    assert unknown == {"chance", "random-weights"}
    assert card.threats[0].curve == ()
