"""The verbs beside those of the Trainer, each a module of its name with a ``main``."""

VERBS = {
    "check-data": "count the items of a data set and say what is wrong with them",
    "score": "MAP and t-MAP of codes in files",
    "sweep": "many runs from lists of values, here or on SLURM",
    "transfer": "perturbations of finished attacks on other victims",
    "report": "tables, figures and one page of finished runs",
}


def help_text() -> str:
    """Return what ``--help`` says about them."""
    return "others, each with its own --help: " + "; ".join(
        f"{verb} ({text})" for verb, text in VERBS.items()
    )
