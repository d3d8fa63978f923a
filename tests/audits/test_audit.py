"""A whole audit with short attacks: what its card says, going on, and other kinds of victims."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.io import decode_image

import lightning_hash
from lightning_hash.audits import suite
from lightning_hash.audits.audit import Audit
from lightning_hash.audits.threats import THREATS, read_threats
from lightning_hash.audits.wanted import Wanted
from lightning_hash.codes.code_set import plain_code_set
from lightning_hash.data.tensor_data import TensorData
from lightning_hash.engine.trainer import quiet_trainers
from lightning_hash.functional import RankingOptions, average_precision, from_8bit, sign_code
from lightning_hash.results.card_files import read_card
from lightning_hash.victims import Victim
from lightning_hash.victims.resolve import as_victim
from tests.helpers.gratings import CLASSES, Gratings

SHORT = suite.Suite(
    name="v1-quick", n_queries=6, members=suite._members(hag=4, apgd=3, square=5),
    checks_longer=False,
)  # fmt: skip
QUERIES, DATABASE = Gratings(8, 1), Gratings(60, 2)
OWN = [m.name for m in SHORT.members if not m.targeted]
AIMED = [m.name for m in SHORT.members if m.targeted]


def network(bits=12, width=16):
    with torch.random.fork_rng():
        torch.manual_seed(4)
        layers = nn.Conv2d(3, width, 8, stride=4), nn.ReLU(), nn.Flatten()
        return nn.Sequential(*layers, nn.Linear(width * 49, bits)).eval()


@pytest.fixture(scope="module")
def model():
    return network()


class Named(TensorData):
    """Items that have paths, as those of lists and folders."""

    def paths_of(self, split):
        return tuple(f"{split}/{number}.png" for number in range(len(self.dataset(split))))


def data(labels=True):
    parts = (QUERIES, DATABASE)
    return Named(*((each.images, each.labels if labels else None) for each in parts))


def audited(model, folder, source=None, **options):
    made = {"threats": read_threats(["linf-8"]), "suite": SHORT, "curve": (), "batch_size": 4}
    wanted = Wanted(**{**made, **options})
    with quiet_trainers(accelerator="cpu") as make:
        return Audit(as_victim(model), source or data(), wanted, folder, make).run()


@pytest.fixture(scope="module", autouse=True)
def few_items():
    """Judge copies with random weights on fewer items than the database has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightning_hash.audits.judge.ITEMS", 20)
        yield


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    return folder, audited(model, folder)


def ap_of_pngs(model, folder, threat, member, index, labels):
    image = decode_image(str(folder / "version_0" / threat / member / f"images/{index:06d}.png"))
    with torch.no_grad():
        code = sign_code(model(from_8bit(image)[None]))
        items = plain_code_set(sign_code(model(from_8bit(DATABASE.images))), DATABASE.labels)
    return average_precision(code, items.codes, labels, items.labels, top_k=1000).item()


def test_the_worst_case_is_that_of_the_images_that_were_sent(model, whole):
    """Read the PNGs, pass them, rank, and take the lowest AP of each query."""
    folder, card = whole
    side = card.threats[0].untargeted
    total = 0.0
    for query in card.queries:
        labels = QUERIES.labels[query.index : query.index + 1]
        values = {"clean": query.clean}
        for name in OWN:
            if f"linf-8/{name}" in query.members:
                values[name] = ap_of_pngs(model, folder, "linf-8", name, query.index, labels)
                assert values[name] == pytest.approx(query.members[f"linf-8/{name}"], abs=1e-6)
        lowest = min(values.values())
        assert query.worst["linf-8"][0] == pytest.approx(lowest, abs=1e-6)
        first = next(name for name, value in values.items() if value <= lowest + 1e-9)
        assert query.worst["linf-8"][1] == first
        total += lowest
    assert side.worst.value == pytest.approx(total / len(card.queries), abs=1e-6)
    assert [member.name for member in side.members] == OWN[:4] + OWN[5:]  # no features to look at
    assert sum(m.won for m in side.members) == sum(
        query.worst["linf-8"][1] != "clean" for query in card.queries
    )
    assert card.worst_map == side.worst.value <= card.map


def test_targets_are_those_of_one_draw(whole):
    folder, card = whole
    place = folder / "version_0" / "linf-8"
    drawn = json.loads((place / "noise" / "targets.json").read_text())
    assert len(drawn) == 6
    for name in AIMED:
        found = json.loads((place / name / "targets.json").read_text())
        assert {key: found[key]["target"] for key in found}.items() <= {
            key: drawn[key]["target"] for key in drawn
        }.items()
    for query in card.queries:
        assert query.path == f"query/{query.index}.png"
        assert query.target
        assert query.target != query.label
    side = card.threats[0].targeted
    assert [member.name for member in side.members] == AIMED
    best = [query.best["linf-8"][0] for query in card.queries]
    assert side.worst.value == pytest.approx(sum(best) / 6)
    assert all(
        query.best["linf-8"][0] >= max(v for k, v in query.members.items() if k[7:] in AIMED)
        for query in card.queries
    )


def test_the_card_is_in_the_folder(whole):
    folder, card = whole
    place = folder / "version_0"
    assert {"audit.json", "card.json", "card.html", "card.png", "queries.csv"} <= {
        each.name for each in place.iterdir()
    }
    assert read_card(place).queries == card.queries
    harmed = [q for q in card.queries if q.worst["linf-8"][1] != "clean"]
    assert len(card.pictures) == len(harmed) > 0
    assert card.sentence in (place / "card.html").read_text().replace("&#39;", "'")


def test_an_audit_again_is_equal_and_one_that_was_killed_goes_on(
    model, whole, tmp_path, monkeypatch
):
    """Of a folder without its card, one member and half of another are run again, no others."""
    folder, card = whole
    place = tmp_path / "version_0"
    shutil.copytree(folder / "version_0", place)
    (place / "card.json").unlink()
    for name in ("apgd-hinge", "square-targeted"):
        shutil.rmtree(place / "linf-8" / name)
    ran = []
    from lightning_hash.audits.member_run import Runner

    before = Runner._attack

    def counted(self, place, *more):
        ran.append(place.name)
        return before(self, place, *more)

    monkeypatch.setattr(Runner, "_attack", counted)
    rows = place / "linf-8" / "hag" / "results.json"
    content = json.loads(rows.read_text())
    for row in content:
        row["run"]["seconds"] = 5000.0
    rows.write_text(json.dumps(content))
    again = audited(model, tmp_path)
    assert 5000 < again.run["seconds"] < 5000 + 2 * card.run["seconds"] + 60
    assert ran == ["apgd-hinge", "square-targeted"]
    assert again.queries == card.queries
    assert without_seconds(again) == without_seconds(card)
    third = audited(model, tmp_path)  # the card is there: a new audit
    assert (tmp_path / "version_1" / "card.json").is_file()
    assert third.queries == card.queries
    assert without_seconds(third) == without_seconds(card)


def without_seconds(card):
    def plain(side):
        members = tuple(replace(member, seconds=0.0) for member in side.members)
        return replace(side, members=members)

    threats = tuple(
        replace(t, untargeted=plain(t.untargeted), targeted=t.targeted and plain(t.targeted))
        for t in card.threats
    )
    return {**vars(card), "threats": threats, "run": None, "pictures": None}


def test_what_another_attack_has_left_is_not_taken_for_this_one(model, whole, tmp_path):
    folder, _ = whole
    place = tmp_path / "version_0"
    shutil.copytree(folder / "version_0", place)
    (place / "card.json").unlink()
    file = place / "linf-8" / "hag" / "member.json"
    said = json.loads(file.read_text())
    said["asked"]["iterations"] = 5
    file.write_text(json.dumps(said))
    with pytest.raises(ValueError, match="hag holds another attack than is run here; remove"):
        audited(model, tmp_path)


def test_queries_at_their_end_are_left_alone(tmp_path):
    """A network whose code is the sign of the mean colour: the first attack undoes it."""

    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, images):
            mean = (images - 0.5).flatten(1).mean(dim=1, keepdim=True) * self.weight
            return mean * torch.tensor([1.0, 1.0, 1.0, -1.0]) * 40

    images = torch.full((8, 3, 8, 8), 0.5) + 0.01 * torch.tensor([1, -1] * 4)[:, None, None, None]
    labels = torch.tensor([0, 1] * 4)
    source = TensorData((images[:4], labels[:4]), (images, labels))
    card = audited(Mean(), tmp_path, source, ranking=RankingOptions(top_k=4))
    side = card.threats[0].untargeted
    assert (card.map, card.worst_map, card.broken) == (1.0, 0.0, 0)  # 8 items: all are shown first
    hag, *others = side.members
    assert (hag.won, hag.left_alone, hag.iterations) == (4, 0, 4)
    assert all((each.left_alone, each.iterations, each.won) == (4, 0, 0) for each in others)
    assert all(each.result.value == 0 for each in others)
    assert not (tmp_path / "version_0" / "linf-8" / "square").exists()


def test_without_labels_the_clean_results_are_relevant(model, tmp_path):
    card = audited(model, tmp_path, data(labels=False))
    assert card.ranking["relevance"] == "clean"
    assert card.map == pytest.approx(1.0)
    with torch.no_grad():
        queries, items = (sign_code(model(from_8bit(d.images))) for d in (QUERIES, DATABASE))
    found = card.queries[0]
    distance = (queries[found.index] != items).sum(dim=1)
    relevant = distance <= distance.sort().values[9]
    place = tmp_path / "version_0" / "linf-8" / "hag" / f"images/{found.index:06d}.png"
    with torch.no_grad():
        code = sign_code(model(from_8bit(decode_image(str(place)))[None]))
    one = torch.ones(1, 1, dtype=torch.uint8)
    expected = average_precision(code, items, one, relevant[:, None].byte(), top_k=1000)
    assert found.members["linf-8/hag"] == pytest.approx(expected.item())
    assert found.label == f"query {found.index}"


def test_a_victim_that_gives_codes_is_searched_alone(model, tmp_path):
    def codes(images):
        inputs = torch.from_numpy(images).movedim(-1, 1).float() / 255
        with torch.no_grad():
            return (model(inputs) > 0).numpy()

    from lightning_hash.victims.functions import CodeFunction

    victim = Victim(CodeFunction(codes))
    card = audited(victim, tmp_path)
    (threat,) = card.threats
    assert [member.name for member in threat.untargeted.members] == ["square"]
    assert [member.name for member in threat.targeted.members] == ["square-targeted"]
    assert threat.untargeted.members[0].attack["oracle"]["shows"] == "codes"
    assert (threat.sees, threat.questions) == ("codes", 5)
    assert "by an attacker who sees codes alone and asks 5 times a query" in card.sentence
    assert "zero-gradient" not in {check.name for check in card.failed}


def test_a_network_that_cuts_its_gradient_is_searched_and_doubted(model, tmp_path):
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, images):
            return self.inner(images).detach()

    card = audited(Cut(), tmp_path)
    (threat,) = card.threats
    assert [member.name for member in threat.untargeted.members] == ["square"]
    assert threat.untargeted.members[0].attack["oracle"]["shows"] == "logits"
    assert threat.sees == "logits"
    cut = [check for check in card.failed if check.name == "zero-gradient"]
    assert [check.figure for check in cut] == [1.0, 1.0]  # of both sides
    assert "logits without gradients" in card.sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", THREATS)
def test_threat_models(name, model, tmp_path):
    card = audited(model, tmp_path, threats=read_threats([name]), n_queries=3)
    (threat,) = card.threats
    rows = json.loads((tmp_path / "version_0" / name / "noise" / "results.json").read_text())
    budget = next(row["attack"]["budget"] for row in rows if row["attack"])
    assert budget["class"].endswith({"linf": "LInf", "l2": "L2"}[threat.norm])
    assert float(budget["epsilon"]) == pytest.approx(
        {"linf-2": 2 / 255, "linf-4": 4 / 255, "linf-10": 10 / 255, "l2-0.5": 0.5, "l2-3": 3.0}.get(
            name, 8 / 255
        )
    )
    names = [member.name for member in threat.untargeted.members]
    whole = ["hag", "apgd-hag", "apgd-mainstay", "apgd-hinge", "square"]
    sees = name.partition("-1000")[0]
    if sees != name:
        assert (threat.sees, threat.questions) == (sees, 5)
        assert names == ["square"]
        assert threat.untargeted.members[0].attack["oracle"]["shows"] == sees
    else:
        assert (threat.sees, threat.questions) == ("gradients", None)
        assert names == (whole if threat.norm == "linf" else whole[:-1])


def test_the_suite_is_what_version_one_says():
    """Lengths and order of version 1; another number is another version."""
    lengths = {member.name: member.iterations for member in suite.V1.members}
    assert lengths == {
        "hag": 500, "apgd-hag": 100, "apgd-mainstay": 100, "apgd-hinge": 100, "apgd-feature": 100,
        "square": 1000, "apgd-anchor": 100, "apgd-mainstay-targeted": 100, "apgd-ranking": 100,
        "square-targeted": 1000,
    }  # fmt: skip
    quick = [member.iterations for member in suite.V1_QUICK.members]
    assert quick == [100, 20, 20, 20, 20, 100, 20, 20, 20, 100]
    assert [member.name for member in suite.V1_QUICK.members] == list(lengths)
    assert (suite.V1.n_queries, suite.V1_QUICK.n_queries, suite.K) == (100, 50, 10)
    assert suite.V1.checks_longer
    assert not suite.V1_QUICK.checks_longer


def test_in_three_lines(model):
    images = from_8bit(QUERIES.images[:3])
    kinds = QUERIES.labels.argmax(dim=1)[:3], DATABASE.labels.argmax(dim=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightning_hash.commands.audit.V1_QUICK", replace(SHORT, n_queries=2))
        card = lightning_hash.audit(
            model, (images, kinds[0]), (DATABASE.images, kinds[1]), quick=True, curve=()
        )
    assert len(card.queries) == 2
    assert card.worst_map <= card.map
    assert {int(query.label) for query in card.queries} <= set(range(CLASSES))


@pytest.mark.parametrize(
    ("queries", "database", "message"),
    [
        ((QUERIES.images, None), None, "queries and database go together"),
        ((QUERIES.images, None), (DATABASE.images[:, :, :8], None), "must be of one shape"),
        ((QUERIES.images, QUERIES.labels), (DATABASE.images, None), "database: labels must be"),
        ((QUERIES.images, QUERIES.labels[:3]), (DATABASE.images, DATABASE.labels),
         r"queries: labels must be \(N, L\) of 0/1 or \(N,\) class numbers for N = 8 images"),
        ((QUERIES.images.float(), None), (DATABASE.images, None), "queries must be images"),
        ((QUERIES.images, QUERIES.labels * 2), (DATABASE.images, DATABASE.labels), "of 0 and 1"),
        ((QUERIES.images, torch.arange(8) - 1), (DATABASE.images, torch.arange(60)), "from 0 on"),
        ((QUERIES.images[:0], None), (DATABASE.images, None), "at least one"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_go_together(model, queries, database, message):
    with pytest.raises(ValueError, match=message):
        lightning_hash.audit(model, queries, database)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["linf-9"], "threats: 'linf-9' is no threat model"),
        ([], "threats must be one or several different names"),
        (["linf-8", "linf-8"], "threats must be one or several different names"),
    ],
)
def test_names_of_threats(names, message):
    with pytest.raises(ValueError, match=message):
        read_threats(names)


def test_several_victims_are_audited_one_by_one(model, tmp_path):
    with pytest.raises(ValueError, match="an audit is of one, got 2; audit each by itself"):
        audited([Victim(model, bits=12), Victim(network(width=8), bits=12)], tmp_path)


def test_tasks_of_an_array_share_an_audit(model, whole, tmp_path):
    """A task for each threat, and a last one that finds both finished; as one that runs both."""
    threats = read_threats(["linf-2", "codes-1000"])
    options = {"threats": threats, "suite": SHORT, "curve": (), "batch_size": 4, "n_queries": 3}
    with quiet_trainers(accelerator="cpu") as make:
        for threat in threats:
            task = Audit(as_victim(model), data(), Wanted(**options), tmp_path / "array", make)
            assert task.run([threat.name]) is None
            assert not (task.folder / "card.json").exists()
    card = audited(model, tmp_path / "array", **options)
    assert [place.name for place in (tmp_path / "array").glob("version_*")] == ["version_0"]
    assert [threat.name for threat in card.threats] == ["linf-2", "codes-1000"]
    at_once = audited(model, tmp_path / "at_once", **options)
    assert without_seconds(at_once) == without_seconds(card)
