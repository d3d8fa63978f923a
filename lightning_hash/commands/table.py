"""The verbs of the command line: the only list of them, and nothing that takes time to import."""

from difflib import get_close_matches
from typing import NamedTuple

PROGRAM = "lightning_hash"
PURPOSE = "How robust is retrieval by deep hashing? Train a victim, attack it, read the answer."


class Verb(NamedTuple):
    """A verb and where it is implemented.

    Attributes:
        help: what it does, in one line.
        module: module of this package.
        function: called with the arguments behind the verb, returns the exit status. With a
            ``model`` it is called with ``(trainer, model, datamodule)`` and its further parameters
            are options; the module then has what
            :class:`lightning_hash.commands.cli.LightningVerb` lists.
        model: the LightningModule that the verb runs, whose arguments are options ``--model.*``.
    """

    help: str
    module: str
    function: str = "main"
    model: str = ""


_HERE = "lightning_hash.commands"
_MODULES = "lightning_hash.modules"
VERBS = {
    "fit": Verb(
        "train a hash model and test its best checkpoint",
        f"{_HERE}.fit", "run_fit", f"{_MODULES}.hash_module.HashModule",
    ),
    "test": Verb(
        "score the clean queries of a data set on a trained hash model",
        f"{_HERE}.test", "run_test", f"{_MODULES}.hash_module.HashModule",
    ),
    "encode": Verb(
        "write the codes of one split of a data set into a file",
        f"{_HERE}.encode", "run_encode", f"{_MODULES}.encoder.Encoder",
    ),
    "attack": Verb(
        "perturb the queries of a data set and measure what a victim then retrieves",
        f"{_HERE}.attack", "run_attack", f"{_MODULES}.attack_module.AttackModule",
    ),
    "transfer": Verb(
        "score the perturbations of finished attacks on other victims", f"{_HERE}.transfer"
    ),
    "score": Verb("compute MAP and t-MAP of codes in files", f"{_HERE}.score"),
    "report": Verb("make tables, figures and one page of finished runs", f"{_HERE}.report"),
    "sweep": Verb("run many experiments from lists of values, here or on SLURM", f"{_HERE}.sweep"),
    "check-data": Verb(
        "count the items of a data set and say what is wrong with them", f"{_HERE}.check_data"
    ),
}  # fmt: skip


def help_text() -> str:
    """Return what ``--help`` prints: each verb with its line."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {verb.help}" for name, verb in VERBS.items())
    return (
        f"usage: {PROGRAM} VERB [options]\n\n{PURPOSE}\n\nverbs:\n{verbs}\n\n"
        "VERB --help shows the options of one; --version the version."
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
