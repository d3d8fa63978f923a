"""``python -m lightning_hash audit``: how robust is this system, and can the answer be believed?"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback, seed_everything
from pytorch_lightning.utilities import rank_zero_only
from rich.table import Table
from torch import Tensor

from lightning_hash.audits.audit import Audit
from lightning_hash.audits.suite import V1, V1_QUICK
from lightning_hash.audits.threats import DEFAULT, read_threats
from lightning_hash.audits.wanted import Wanted
from lightning_hash.commands.class_paths import checked_class_paths
from lightning_hash.commands.configs import with_data_class
from lightning_hash.commands.flags import add_options, valued
from lightning_hash.commands.given import given_options
from lightning_hash.commands.inputs import fill_inputs, inputs_of_victim
from lightning_hash.commands.one_line import OneLineParser
from lightning_hash.commands.places import options_named
from lightning_hash.commands.table import VERBS
from lightning_hash.commands.trainer_values import check_trainer_values
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.tensor_data import TensorData
from lightning_hash.engine.callbacks import IterationProgress
from lightning_hash.engine.launched import check_launched, launched
from lightning_hash.engine.trainer import HashTrainer, quiet_trainers
from lightning_hash.functional import RankingOptions
from lightning_hash.reports.audit_card import AuditCard
from lightning_hash.results.card import ThreatResult
from lightning_hash.results.tables import print_table
from lightning_hash.utils.escapes import terminal, visible
from lightning_hash.utils.places import check_inside, check_name
from lightning_hash.utils.progress import shows_bars
from lightning_hash.utils.volume import Volume, volume
from lightning_hash.utils.whole_file import ready_folder
from lightning_hash.victims.resolve import DEFAULT_VICTIM, as_victim

OPTIONS = VERBS["audit"].options


def main(arguments: list[str]) -> int:
    """Run the suite on a victim, print a table, and write a card.

    Args:
        arguments: what stands behind ``audit``.

    Returns:
        0; also where checks have failed, which the card says.

    Raises:
        ValueError: if victim, data or options are wrong.
        OSError: if a file cannot be read or written.
    """
    parser, arguments = make_parser(), valued(arguments, OPTIONS)
    with checked_class_paths():
        line = with_data_class(arguments)
        options = parser.parse_args(line)
        given = given_options(parser.parse_args(line, defaults=False).as_dict())
        with options_named(parser, arguments):
            return _audit(parser, options, given)


def make_parser() -> OneLineParser:
    """Return the parser of the verb's options."""
    parser = OneLineParser(prog="lightning_hash audit", description=__doc__)
    parser.add_argument("--config", action="config", help="YAML with these options.")
    parser.add_argument(
        "--model.victim", type=Any, default=DEFAULT_VICTIM,
        help="as of attack: a checkpoint of fit, or {source: ..., ...}",
    )  # fmt: skip
    parser.add_subclass_arguments(HashDataModule, "data", required=False)
    parser.set_defaults(dict(VERBS["audit"].defaults))
    parser.add_argument("--ranking", type=RankingOptions, default=RankingOptions())
    add_options(parser, OPTIONS)
    return parser


def _audit(parser: OneLineParser, options: Any, given: Mapping[str, Any]) -> int:
    check_trainer_values({name: options[name] for name in ("accelerator", "devices")}, "")
    suite = V1_QUICK if options.quick else V1
    name = f"audit/{check_name(options.name, '--name')}"
    fill_inputs(options.data, given, inputs_of_victim(options.model.victim))
    made = parser.instantiate_classes(options)
    wanted = Wanted(
        threats=read_threats(options.threats), suite=suite, n_queries=options.n_queries,
        seed=options.seed, batch_size=options.batch_size, ranking=made.ranking,
        kernels=options.kernels, checkpoint_every=options.checkpoint_every,
        curve=options.curve, smallest=options.smallest,
    )  # fmt: skip
    only = [] if options.only is None else [each.name for each in read_threats(options.only)]
    others = [name for name in only if name not in options.threats]
    if others:
        msg = f"--only must name some of --threats {' '.join(options.threats)}, got {others[0]!r}"
        raise ValueError(msg)
    victim = as_victim(options.model.victim)
    root = Path(options.runs) / name
    check_inside(root, Path(options.runs), "give --runs another folder")
    ready_folder(root, "run folder", "give another with --runs FOLDER")
    seed_everything(options.seed, verbose=False)
    make_trainer = _trainer_maker(options.accelerator, options.devices)
    config = parser.dump(options, skip_check=True)
    audit = Audit(victim, made.data, wanted, root, make_trainer, _tell, config)
    card = audit.run(only)
    if card is None:
        if _is_first():
            print(
                visible(f"{', '.join(only)} of {audit.folder}: no card before all threats are run")
            )
        return 0
    if _is_first() and volume() is not Volume.QUIET:
        for threat in card.threats:
            print_table(_table(threat))
    if _is_first():
        print(visible(card.sentence))
        for warning in card.warnings:
            print(visible(f"doubtful: {warning}"))
        print(visible(str(audit.folder / "card.html")))
    return 0


def _table(threat: ThreatResult) -> Table:
    """Return the members of a threat as a table."""
    epsilon = f"{'L2' if threat.norm == 'l2' else 'L-infinity'} {threat.epsilon}"
    asked = f", {threat.sees}, {threat.questions} questions" if threat.questions else ""
    table = Table(title=f"{threat.name}: {epsilon}{asked}", title_justify="left")
    table.add_column("attack")
    for header in ("MAP", "t-MAP", "worst for", "left alone", "seconds"):
        table.add_column(header, justify="right")
    for side, targeted in ((threat.untargeted, False), (threat.targeted, True)):
        if side is None:
            continue

        def add(name: str, value: object, *more: str, aimed: bool = targeted) -> None:
            table.add_row(terminal(name), *(("", str(value)) if aimed else (str(value), "")), *more)

        add("clean queries", side.clean)
        if side.noise is not None:
            add("noise", side.noise)
        for member in side.members:
            counts = str(member.won), str(member.left_alone), f"{member.seconds:.0f}"
            add(member.name, member.result, *counts)
        add("worst case", side.worst)
        if side.ceiling is not None:
            add("ceiling", side.ceiling)
        table.add_section()
    return table


def _is_first() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def _tell(line: str) -> None:
    if _is_first() and volume() is not Volume.QUIET:
        print(visible(line), flush=True)


def _trainer_maker(accelerator: str, devices: str) -> Callable[..., pl.Trainer]:
    """Return what makes the Trainers of an audit."""
    started = launched()
    if started is not None and devices == OPTIONS["devices"].default:
        devices = str(started.devices)
    nodes = 1 if started is None else started.nodes
    several = str(devices) != "1" or nodes > 1

    def bars() -> list[Callback]:  # a line for each member is enough elsewhere
        return [IterationProgress()] if shows_bars() else []

    def make(**more: Any) -> pl.Trainer:
        trainer = HashTrainer(
            accelerator=accelerator, devices=devices, num_nodes=nodes,
            enable_model_summary=False, log_every_n_steps=10,
            strategy="query_parallel" if several else "auto",
            enable_progress_bar=shows_bars(),
            **{**more, "callbacks": [*bars(), *more.get("callbacks", [])]},
        )  # fmt: skip
        check_launched(trainer)
        return trainer

    return make


def audit(
    model: Any,
    queries: tuple[Tensor, Tensor | None] | HashDataModule,
    database: tuple[Tensor, Tensor | None] | None = None,
    *,
    threats: Sequence[str] = (DEFAULT,),
    quick: bool = False,
    n_queries: int | None = None,
    seed: int = 0,
    batch_size: int = 100,
    ranking: RankingOptions = RankingOptions(),
    curve: Sequence[str] | None = None,
    smallest: bool = False,
    folder: str | Path | None = None,
    accelerator: str = "auto",
    trust: bool = False,
) -> AuditCard:
    """Audit a model: the standard suite of attacks, the worst case, and what speaks against it.

    Args:
        model: turns images in [0, 1] into ``(B, K)`` logits; or what else
            :class:`lightning_hash.AttackModule` takes as its victim. It is given back as it came.
        queries: images ``(Q, C, H, W)``, floating in [0, 1] or uint8, and labels, ``(Q, L)`` of 0/1
            or ``(Q,)`` class numbers, or ``None`` where there are none; or a data module.
        database: images and labels, likewise; ``None`` beside a data module. Without labels a
            query's own clean results are what is relevant to it.
        threats: names of threat models, see :data:`lightning_hash.audits.threats.THREATS`.
        quick: the short form of the suite.
        n_queries: at most so many queries, drawn by ``seed``; 100 by default, of the short form 50.
        seed: of the draws.
        batch_size: queries at a time.
        ranking: options of MAP and t-MAP.
        curve: epsilons of the curve of MAP, numbers or fractions; five by default, ``()`` for none.
        smallest: look for the smallest epsilon of each query at which nothing relevant is left.
        folder: keeps the runs of the attacks, and an audit that was killed goes on there; without
            one they are thrown away.
        accelerator: as in Lightning's Trainer.
        trust: let a file or function that stands for the model run code, see
            :func:`lightning_hash.victims.load_foreign`.

    Returns:
        The card: its numbers as attributes, and ``card.save(folder)``.

    Raises:
        ValueError: if images, labels or options are wrong, or do not go together.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 8))
        >>> images, labels = torch.rand(30, 3, 4, 4), torch.arange(30) % 2
        >>> card = audit(model, (images[:4], labels[:4]), (images[4:], labels[4:]), quick=True)
        >>> card.worst_map <= card.map
        True
    """
    if isinstance(queries, HashDataModule) != (database is None):
        msg = "queries and database go together: give (images, labels) twice, or one data module"
        raise ValueError(msg)
    if isinstance(queries, HashDataModule):
        data: HashDataModule = queries
    else:
        assert database is not None
        data = TensorData(queries, database)
    wanted = Wanted(
        threats=read_threats(threats), suite=V1_QUICK if quick else V1, n_queries=n_queries,
        seed=seed, batch_size=batch_size, ranking=ranking, curve=curve,
        smallest=smallest,
    )  # fmt: skip
    victim = as_victim(model, trust=trust)
    with TemporaryDirectory() as place, quiet_trainers(accelerator=accelerator) as make_trainer:
        card = Audit(victim, data, wanted, Path(folder or place), make_trainer).run()
        assert card is not None  # all threats were run
        return card
