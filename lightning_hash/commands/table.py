"""The verbs of the command line: the only list of them, and nothing that takes time to import."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from lightning_hash.utils.volume import HELP

PROGRAM = "lightning_hash"
PURPOSE = "How robust is retrieval by deep hashing? Train a victim, attack it, read the answer."


class Option(NamedTuple):
    """An option of a verb that is neither its function's nor of trainer or model.

    Attributes:
        help: what it does.
        default: its value where the user says nothing.
        type: what its text becomes.
        nargs: ``"+"`` where it takes several.
        required: whether it must be given.
    """

    help: str
    default: Any = None
    type: Any = str
    nargs: str | None = None
    required: bool = False


class Verb(NamedTuple):
    """A verb and where it is implemented.

    Attributes:
        help: what it does, in one line.
        module: module of this package.
        function: called with the arguments behind the verb, returns the exit status. With a
            ``model`` it is called with ``(trainer, model, datamodule)`` and its further parameters
            are options; the module then has
            :meth:`lightning_hash.commands.cli.LightningVerb.trainer_options`.
        model: the LightningModule that the verb runs, whose arguments are options ``--model.*``.
        options: further options, by name.
        defaults: dotted names of options, and what they are where the user says nothing.
        trust: whether it takes ``--trust``.
        takes: the words behind the verb that belong to no option, as its help shows them.
        trainers: whether its function takes what makes Trainers, as it runs several, in place of
            one.
    """

    help: str
    module: str
    function: str = "main"
    model: str = ""
    options: Mapping[str, Option] = {}
    defaults: Mapping[str, Any] = {}
    trust: bool = False
    takes: str = ""
    trainers: bool = False


_HERE = "lightning_hash.commands"
_VICTIM = "checkpoints/demo/best.ckpt"
_MODULES = "lightning_hash.modules"
_DEMO_DATA = {"data": {"class_path": "lightning_hash.data.SamplePhotos"}}
_RUNS = Option("folder under which runs are written", "runs")
_FIT = {
    "runs": _RUNS,
    "name": Option(
        "checkpoints go to CHECKPOINTS/NAME, the run to RUNS/fit/NAME/version_N", "demo"
    ),
    "checkpoints": Option("folder of all trained victims", "checkpoints"),
}
_TEST = {
    "runs": _RUNS,
    "name": Option(
        "the run goes to RUNS/fit/NAME/version_N; without ckpt_path CHECKPOINTS/NAME/best.ckpt is "
        "tested", "demo",
    ),
    "checkpoints": _FIT["checkpoints"],
}  # fmt: skip
_ATTACK = {
    "runs": _RUNS,
    "name": Option(
        "the run goes to RUNS/attack/NAME/version_N; the attack's name by default",
        type=str | None,
    ),
    "checkpoint_every": Option(
        "iterations between two checkpoints of the attack; once a minute by default",
        type=int | None,
    ),
}
_OF_ATTACKS = {
    **_DEMO_DATA,
    "trainer.max_epochs": 100,
    "trainer.log_every_n_steps": 10,
    "trainer.devices": 1,
    "trainer.enable_model_summary": False,
    "model.objective": {"class_path": "lightning_hash.attacks.HAG"},
    "model.alpha": {"class_path": "lightning_hash.attacks.AlphaSchedule"},
    "model.targets": {"class_path": "lightning_hash.attacks.TargetChoice"},
}
_TRANSFER = {
    "perturbations": Option("run folders of finished attacks", nargs="+", required=True),
    "combination": Option(
        "single: each run alone; of all runs together: sum (may exceed epsilon), clipped (the sum, "
        "clipped to epsilon), average, best (for each query the run that got furthest on its own "
        "victim: the best of restarts, or of several attacks); several may be given",
        ["single"], nargs="+",
    ),
    "victims": Option(
        "checkpoints of fit, or options of foreign models as {source: ..., ...}",
        nargs="+", required=True,
    ),
    "data": Option("config of the data; that of the first run by default", type=str | None),
    "runs": _RUNS,
    "name": Option("the rows go to RUNS/transfer/NAME/version_N", "transfer"),
    "batch_size": Option("queries at a time", 100, int),
    "accelerator": Option("as in Lightning's Trainer", "auto"),
    "devices": Option("as in Lightning's Trainer", "1"),
}  # fmt: skip
_CHECK_DATA = {
    "data": Option("a data module; its options are --data.OPTION"),
    "json": Option("print JSON instead of tables", False, bool),
}
_AUDIT = {
    "threats": Option(
        "threat models: linf-2, linf-4, linf-8, linf-10, l2-0.5, l2-3, codes-1000, "
        "distances-1000, ids-1000", ["linf-8"], nargs="+",
    ),
    "quick": Option("the short form of the suite, for a first look", False, bool),
    "n_queries": Option(
        "queries, drawn by seed; 100 by default, of the short form 50", type=int | None
    ),
    "seed": Option("seed of the draws", 0, int),
    "batch_size": Option("queries at a time", 100, int),
    "curve": Option(
        "epsilons of the curve of MAP; by default 1/255 to 16/255, in L2 1/8 to 2 times that of "
        "the threat; without any behind it no curve", nargs="*", type=str,
    ),
    "smallest": Option(
        "look for the smallest epsilon of each query at which nothing relevant is left", False,
        bool,
    ),
    "kernels": Option("what the iterations run on, as in attack", "auto"),
    "checkpoint_every": Option(
        "iterations between two checkpoints of an attack; once a minute by default", type=int | None
    ),
    "only": Option(
        "run the attacks of these of the threats and write no card, as a task of an array; the "
        "same command without it finds them finished", nargs="+", type=str,
    ),
    "runs": _RUNS,
    "name": Option(
        "the card goes to RUNS/audit/NAME/version_N; the same command goes on where it was killed",
        "audit",
    ),
    "accelerator": _TRANSFER["accelerator"],
    "devices": _TRANSFER["devices"],
}  # fmt: skip
_SEARCH = {
    "model.victim": Option(
        "as of attack: a checkpoint of fit, or {source: ..., ...}", _VICTIM, Any
    ),
    "codes": Option("the database: a file of codes, of encode or of others", required=True),
    "top_k": Option("results per image", 10, int),
    "index": Option(
        "faiss, packed, or auto: faiss where it is installed; the results are the same", "auto"
    ),
    "format": Option("what is printed: table or json", "table"),
    "picture": Option(
        "PNG of the images and of what comes back; of two images both", type=str | None
    ),
    "data": Option(
        "the data that the codes are of: its images and class names; its options are --data.OPTION"
    ),
    "root": Option("folder that the paths in the codes are relative to", type=str | None),
    "size": Option(
        "side of the network's input in pixels, where neither codes, data nor victim say how "
        "images are read", type=int | None,
    ),
    "resize": Option("pixels to resize to before a centre crop of size", type=int | None),
    "keep_aspect": Option("resize the shorter side", False, bool),
    "interpolation": Option("bilinear, bicubic or nearest", type=str | None),
    "images_are": Option(
        "what images of the input's size are, where others are resized and cropped: file, as those "
        "of the data, or input, which an attack on inputs saved", type=str | None,
    ),
    "labels": Option("file of labels, for codes of others that stand alone", type=str | None),
    "threshold": Option(
        "above which a value of codes of others is a bit of +1, for real values",
        type=float | None,
    ),
    "accelerator": _TRANSFER["accelerator"],
}  # fmt: skip
VERBS = {
    "demo": Verb(
        "train a victim on photographs of scikit-image, attack it, print one table", f"{_HERE}.demo"
    ),
    "fit": Verb(
        "train a hash model and test its best checkpoint",
        f"{_HERE}.fit", "run_fit", f"{_MODULES}.hash_module.HashModule", _FIT,
        {
            **_DEMO_DATA,
            "trainer.max_epochs": 40,
            "trainer.devices": 1,
            "trainer.num_sanity_val_steps": 0,
            "trainer.enable_model_summary": False,
            "trainer.check_val_every_n_epoch": 5,
            "trainer.log_every_n_steps": 10,
            "model.loss": {"class_path": "lightning_hash.losses.PairwiseLoss"},
            "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3}},
            "model.lr_scheduler": {"class_path": "lightning_hash.modules.OneCycle"},
        },
        trust=True,
    ),
    "test": Verb(
        "score the clean queries of a data set on a trained hash model",
        f"{_HERE}.test", "run_test", f"{_MODULES}.hash_module.HashModule", _TEST,
        {**_DEMO_DATA, "trainer.devices": 1, "ckpt_path": "checkpoints/demo/best.ckpt"},
        trust=True,
    ),
    "encode": Verb(
        "write the codes of one split of a data set into a file",
        f"{_HERE}.encode", "run_encode", f"{_MODULES}.encoder.Encoder", {},
        {**_DEMO_DATA, "trainer.devices": 1, "trainer.logger": False},
        trust=True,
    ),
    "attack": Verb(
        "perturb the queries of a data set and measure what a victim then retrieves",
        f"{_HERE}.attack", "run_attack", f"{_MODULES}.attack_module.AttackModule", _ATTACK,
        _OF_ATTACKS, trust=True,
    ),
    "smallest": Verb(
        "find the smallest epsilon of each query at which an attack succeeds, by bisection",
        f"{_HERE}.smallest", "run_smallest", f"{_MODULES}.attack_module.AttackModule", {},
        {**_OF_ATTACKS, "trainer.logger": False}, trust=True, trainers=True,
    ),
    "audit": Verb(
        "how robust is a retrieval system: the standard suite of attacks, worst case, card",
        f"{_HERE}.audit", options=_AUDIT, defaults=_DEMO_DATA, trust=True,
    ),
    "transfer": Verb(
        "score the perturbations of finished attacks on other victims",
        f"{_HERE}.transfer", options=_TRANSFER, trust=True,
    ),
    "score": Verb("compute MAP and t-MAP of codes in files", f"{_HERE}.score"),
    "search": Verb(
        "retrieve from a database of codes with images: distances, table, JSON, picture",
        f"{_HERE}.search", options=_SEARCH, trust=True, takes="IMAGE ...",
    ),
    "robustness": Verb(
        "how far harmless transforms (JPEG, resize, crop, ...) move the codes of a data set",
        f"{_HERE}.robustness", "run_robustness", f"{_MODULES}.encoder.Encoder", {},
        {**_DEMO_DATA, "trainer.devices": 1, "trainer.logger": False},
        trust=True,
    ),
    "report": Verb("make tables, figures and one page of finished runs", f"{_HERE}.report"),
    "leaderboard": Verb(
        "make one sortable page of the cards of many audited victims", f"{_HERE}.leaderboard"
    ),
    "sweep": Verb("run many experiments from lists of values, here or on SLURM", f"{_HERE}.sweep"),
    "check-data": Verb(
        "count the items of a data set and say what is wrong with them", f"{_HERE}.check_data",
        options=_CHECK_DATA, trust=True,
    ),
}  # fmt: skip


def help_text() -> str:
    """Return what ``--help`` prints: each verb with its line."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {verb.help}" for name, verb in VERBS.items())
    return (
        f"usage: {PROGRAM} VERB [options]\n\n{PURPOSE}\n\nverbs:\n{verbs}\n\n"
        f"VERB --help shows the options of one; --version the version. {HELP}"
    )


def unknown(word: str) -> str:
    """Return what is said about a word that is no verb.

    Args:
        word: the first argument.

    Returns:
        One line, with the verbs that look like it, or all.

    Example:
        >>> unknown("swep")
        "'swep' is no verb; did you mean sweep?"
    """
    close = get_close_matches(word, VERBS)
    offer = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(VERBS)}"
    return f"{word!r} is no verb; {offer}"
