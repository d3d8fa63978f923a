"""Planted fakes: victims that look robust and are not, each caught by the check of its kind."""

from functools import partial

import pytest
import torch

from lightning_hash.attacks import APGD, HAG, SAAT, AlphaSchedule, Hinge, Noise, Square
from lightning_hash.audits import believe
from lightning_hash.audits.copies import COPIES, drawn_anew, estimate_statistics
from lightning_hash.codes.code_set import plain_code_set
from lightning_hash.engine.attack_run import attack_encoded
from lightning_hash.functional import RankingOptions, average_precision, sign_code
from lightning_hash.modules import AttackModule
from lightning_hash.victims import Victim
from tests.helpers import fakes
from tests.helpers.attacks import trainer
from tests.helpers.gratings import GratingData, Gratings, trained_network

pytestmark = pytest.mark.filterwarnings("ignore:doubtful")
AT, ONE = "8/255", {"step": APGD, "alpha": AlphaSchedule([1.0], [0.0])}
GRADIENTS = {
    "hag": ({"objective": HAG()}, 100),
    "apgd-hag": ({"objective": HAG(), **ONE}, 20),
    "apgd-mainstay": ({"objective": SAAT(), **ONE}, 20),
    "apgd-hinge": ({"objective": Hinge(), **ONE}, 20),
}
MEMBERS = {
    **GRADIENTS,
    "square": ({"objective": Hinge(), "step": Square}, 100),
    "noise": ({"objective": Noise()}, 1),
}


@pytest.fixture(scope="module")
def honest():
    with torch.random.fork_rng():
        return trained_network()


class Bench:
    """A victim with its database of gratings, attacked member by member at linf-8."""

    def __init__(self, network, tmp_path):
        self.network, self.victim, self.folder = network, Victim(network), tmp_path
        self.data = GratingData()
        self.data.setup("predict")
        self.ranking = RankingOptions()
        self.labels = self.data.query_set.labels
        self.inputs = self.data.query_set.images.float() / 255
        self.codes, self.database = self.codes_of(self.victim)
        self.clean = self.ap(self.codes)

    @torch.no_grad()
    def codes_of(self, victim):
        items = self.data.database_set
        codes = [sign_code(victim(images)) for images in (self.inputs, items.images.float() / 255)]
        return codes[0], plain_code_set(codes[1], items.labels)

    def ap(self, codes, database=None, rows=slice(None)):
        items = self.database if database is None else database
        return average_precision(codes, items.codes, self.labels[rows], items.labels)

    def attack(self, member, iterations=None, seed=None, numbers=None):
        options, usual = MEMBERS[member]
        module = AttackModule(
            self.network, epsilon=AT, n_queries=None, query_index=numbers, batch_size=40,
            evaluate_at=[], kernels="float32", ranking=self.ranking, start_seed=seed, **options,
        )  # fmt: skip
        run = trainer(self.folder, iterations or usual)
        tensors = attack_encoded(run, module, self.data, self.database).outcome().tensors
        rows = tensors["index"]
        sloped = torch.cat([batch.sloped for batch in module.batches])
        flipped = (tensors["codes_8bit"] != self.codes[rows]).double().mean().item()
        return self.ap(tensors["codes_8bit"], rows=rows), sloped.tolist(), flipped

    def slopes(self, members=tuple(GRADIENTS)):
        return {member: self.attack(member, iterations=2)[1] for member in members}

    @torch.no_grad()
    def outputs(self):
        return believe.outputs(lambda a, b: self.victim(self.inputs[a:b]), len(self.inputs))

    def weights(self):
        copies = [drawn_anew(self.network, seed).eval() for seed in range(COPIES)]
        for copy in copies:
            estimate_statistics(copy, partial(copy, self.inputs))
        found = [self.codes_of(Victim(copy)) for copy in copies]
        return believe.random_weights(self.clean, [self.ap(*each) for each in found])

    def checks(self):
        """Return the names of the checks that fail, and all checks by name."""
        results = {member: self.attack(member) for member in MEMBERS}
        by_gradient = torch.stack([results[member][0] for member in GRADIENTS])
        worst, winner = by_gradient.min(dim=0)
        member = list(GRADIENTS)[int(winner.mode().values)]
        rows = believe.some_of(len(worst))
        again = believe.Again(
            member=member, iterations=MEMBERS[member][1], numbers=rows, worst=worst[rows],
            targeted=False, rerun=lambda m, n, i, s: self.attack(m, i, s, list(n))[0],
        )  # fmt: skip
        noisy, _, flipped = results["noise"]
        items = self.database.codes, self.database.labels
        found = [
            believe.zero_gradient("linf-8", {name: results[name][1] for name in GRADIENTS}),
            believe.black_box_beats_gradients(
                "linf-8", worst, torch.minimum(worst, results["square"][0])
            ),
            believe.more_iterations("linf-8", again),
            believe.restarts("linf-8", again),
            believe.noise("linf-8", self.clean, noisy, flipped),
            *self.outputs(),
            self.weights(),
            believe.chance(self.codes, items[0], self.labels, items[1], self.ranking),
            believe.large_epsilon("linf-8", self.inputs, self.labels, "linf", 8 / 255),
            believe.codes_collapsed({"queries": (self.codes, self.labels), "database": items}),
        ]
        assert [check.name for check in found] == list(believe.THRESHOLDS)
        return [check.name for check in found if check.failed], found


def test_an_honest_victim_is_shown_to_be_weak(honest, tmp_path):
    """What the fakes hide: at 8/255 nothing is left of its clean MAP of 1."""
    bench = Bench(honest, tmp_path)
    assert bench.clean.mean() > 0.99
    assert bench.attack("apgd-hinge")[0].mean() < 0.3


@pytest.mark.slow
def test_no_check_fails_of_an_honest_victim(honest, tmp_path):
    failed, found = Bench(honest, tmp_path).checks()
    assert not failed, found


def fake(kind, network):
    if kind in (fakes.Flat, fakes.untrained):
        return kind(network, Gratings(40, 1).images.float() / 255)
    return kind(network)


CAUGHT = {  # the check that is named for it
    fakes.CutBySign: "zero-gradient",
    fakes.Saturated: "zero-gradient",
    fakes.QuantisedInput: "zero-gradient",
    fakes.RandomInput: "random-outputs",
    fakes.OwnBatch: "train-mode",
    fakes.untrained: "random-weights",
}
BY = {"zero-gradient", "random-outputs", "train-mode", "random-weights"}


@pytest.mark.parametrize("kind", CAUGHT, ids=lambda kind: kind.__name__)
def test_a_fake_is_caught_by_the_check_of_its_kind(kind, honest, tmp_path):
    bench = Bench(fake(kind, honest), tmp_path)
    checks = [believe.zero_gradient("linf-8", bench.slopes()), *bench.outputs(), bench.weights()]
    assert {check.name for check in checks} == BY
    assert [check.name for check in checks if check.failed] == [CAUGHT[kind]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", CAUGHT, ids=lambda kind: kind.__name__)
def test_all_checks_of_a_fake(kind, honest, tmp_path):
    failed, found = Bench(fake(kind, honest), tmp_path).checks()
    assert CAUGHT[kind] in failed, found


@pytest.mark.slow
def test_a_victim_trained_to_be_flat_at_clean_images(honest, tmp_path):
    """A gradient is there, and leads nowhere: other starts get much further."""
    bench = Bench(fake(fakes.Flat, honest), tmp_path)
    assert torch.equal(bench.codes, Bench(honest, tmp_path).codes)
    failed, found = bench.checks()
    assert failed == ["restarts"], found
