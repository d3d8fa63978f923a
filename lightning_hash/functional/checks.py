"""Checks of arguments: one message says which argument, what it must be and what it was."""

import torch
from torch import Tensor

ROWS = 65_536  # rows of codes that are checked at a time  # pragma: no mutate
LABELS = 2**24  # labels, likewise  # pragma: no mutate


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Check an option.

    Args:
        name: the option's name.
        value: what was given.
        choices: what is possible.

    Raises:
        ValueError: if ``value`` is not among ``choices``.
    """
    if value not in choices:
        msg = f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}"
        raise ValueError(msg)


def check_count(name: str, value: int) -> None:
    """Check a positive whole number.

    Args:
        name: the argument's name.
        value: what was given.

    Raises:
        ValueError: if ``value`` is not a positive int.
    """
    if not _is_count(value):
        msg = f"{name} must be a positive whole number, got {value}"
        raise ValueError(msg)


def check_whole(name: str, value: object) -> None:
    """Check a whole number, of any sign.

    Args:
        name: the argument's name.
        value: what was given.

    Raises:
        ValueError: if ``value`` is no int.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"{name} must be a whole number, got {value}"
        raise ValueError(msg)


def check_tensor(name: str, value: object) -> None:
    """Check that what is given from Python is a tensor.

    Args:
        name: the argument's name.
        value: what was given.

    Raises:
        TypeError: if it is none.
    """
    if not isinstance(value, Tensor):
        remedy = "; give torch.from_numpy(...) of it" if type(value).__name__ == "ndarray" else ""
        msg = f"{name} must be a torch tensor, got {type(value).__name__}{remedy}"
        raise TypeError(msg)


def check_top_k(name: str, value: int | None) -> None:
    """Check a number of ranks that may be those of the whole database.

    Args:
        name: the argument's name.
        value: what was given.

    Raises:
        ValueError: if ``value`` is neither ``None`` nor a positive int.
    """
    if value is not None and not _is_count(value):
        msg = f"{name} must be a positive whole number or None for the whole database, got {value}"
        raise ValueError(msg)


def check_codes(name: str, codes: Tensor) -> None:
    """Check that codes are ``(n, K)`` of -1/+1.

    Args:
        name: the argument's name.
        codes: what was given.

    Raises:
        TypeError: if it is no tensor of a real dtype.
        ValueError: if the shape or a value is wrong.
    """
    if not isinstance(codes, Tensor) or codes.is_complex() or codes.dtype == torch.bool:
        kind = codes.dtype if isinstance(codes, Tensor) else type(codes).__name__
        msg = f"{name} must be a tensor of a real dtype, got {kind}"
        raise TypeError(msg)
    if not codes.is_floating_point() and not codes.is_signed():
        msg = f"{name} must be of a signed dtype, since codes hold -1, got {codes.dtype}"
        raise TypeError(msg)
    if codes.dim() != 2 or codes.shape[1] == 0:
        msg = f"{name} must have shape (n, K) with K at least 1, got {tuple(codes.shape)}"
        raise ValueError(msg)
    for start in range(0, len(codes), ROWS):  # a whole database would need as much again
        wrong = codes[start : start + ROWS].abs() != 1
        if wrong.any():
            row, bit = torch.nonzero(wrong)[0].tolist()
            row += start
            msg = (
                f"{name} must be -1 or +1, got {codes[row, bit].item()} in row {row}, bit {bit}; "
                "binarise logits with sign_code"
            )
            raise ValueError(msg)


def check_database(codes: Tensor) -> None:
    """Check the codes of a database that is searched.

    Args:
        codes: ``(N, K)`` of -1/+1, N at least 1.

    Raises:
        TypeError: see :func:`check_codes`.
        ValueError: see :func:`check_codes`; or if there is no code.
    """
    check_codes("database_codes", codes)
    if not len(codes):
        msg = "database_codes must hold at least one code, got none"
        raise ValueError(msg)


def check_voters(codes: Tensor) -> None:
    """Check that there are codes to vote.

    Args:
        codes: ``(n, K)`` of -1/+1, n at least 1.

    Raises:
        ValueError: if ``codes`` is empty or not two-dimensional.
    """
    if codes.dim() != 2 or len(codes) == 0:
        msg = f"codes must have shape (n, K) with n at least 1, got {tuple(codes.shape)}"
        raise ValueError(msg)


def check_pair(query_codes: Tensor, database_codes: Tensor) -> None:
    """Check two sets of codes and that they have one length.

    Args:
        query_codes: ``(Q, K)`` of -1/+1.
        database_codes: ``(N, K)`` of -1/+1.

    Raises:
        TypeError: see :func:`check_codes`.
        ValueError: see :func:`check_codes`; or if the numbers of bits differ.
    """
    check_codes("query_codes", query_codes)
    check_codes("database_codes", database_codes)
    if query_codes.shape[1] != database_codes.shape[1]:
        msg = (
            f"query_codes have {query_codes.shape[1]} bits, database_codes "
            f"{database_codes.shape[1]}; both must come from one model"
        )
        raise ValueError(msg)


def check_at_most(name: str, value: int | None) -> None:
    """Check how many of something are wanted at most.

    Args:
        name: the argument's name.
        value: what was given; ``None`` is all.

    Raises:
        ValueError: if ``value`` is neither ``None`` nor an int of at least 0.
    """
    if value is not None and not (type(value) is int and value >= 0):
        msg = f"{name} must be a whole number of at least 0, or null for all, got {value}"
        raise ValueError(msg)


def check_labels(name: str, labels: Tensor) -> None:
    """Check that labels are ``(n, C)`` of 0/1.

    Args:
        name: the argument's name.
        labels: what was given.

    Raises:
        TypeError: if they are no tensor.
        ValueError: if the shape or a value is wrong.
    """
    check_tensor(name, labels)
    if labels.dim() != 2:
        msg = f"{name} must have shape (n, C), got {tuple(labels.shape)}"
        raise ValueError(msg)
    rows = max(1, LABELS // max(1, labels.shape[1]))  # pragma: no mutate
    for start in range(0, len(labels), rows):
        part = labels[start : start + rows]
        wrong = ~((part == 0) | (part == 1))
        if not wrong.any():
            continue
        row, column = torch.nonzero(wrong)[0].tolist()
        row += start
        msg = (
            f"{name} must be 0 or 1, got {labels[row, column].item()} in row {row}, "
            f"column {column}; one column per label"
        )
        raise ValueError(msg)


def check_label_widths(a: Tensor, b: Tensor) -> None:
    """Check that two sets of labels have the same columns.

    Args:
        a: ``(Q, C)`` of 0/1.
        b: ``(N, C)`` of 0/1.

    Raises:
        ValueError: if they are not two-dimensional or the widths differ.
    """
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1]:
        msg = (
            "labels must have shapes (Q, C) and (N, C) of one width C, "
            f"got {tuple(a.shape)} and {tuple(b.shape)}"
        )
        raise ValueError(msg)


def check_labelled_codes(codes: Tensor, database_labels: Tensor) -> None:
    """Check codes of a database and that there is a row of labels for each.

    Args:
        codes: ``(N, K)`` of -1/+1.
        database_labels: ``(N, C)`` of 0/1.

    Raises:
        TypeError: see :func:`check_codes`.
        ValueError: see :func:`check_codes`; or if the numbers of rows differ.
    """
    check_codes("codes", codes)
    if len(codes) != len(database_labels):
        msg = (
            f"codes and database_labels must be of one number of items, got {len(codes)} and "
            f"{len(database_labels)}"
        )
        raise ValueError(msg)


def check_ranking(
    query_codes: Tensor, database_codes: Tensor, query_labels: Tensor, database_labels: Tensor
) -> None:
    """Check the four inputs of every ranking metric.

    Args:
        query_codes: ``(Q, K)`` of -1/+1.
        database_codes: ``(N, K)`` of -1/+1, N at least 1.
        query_labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.

    Raises:
        TypeError: if codes are not of a real dtype.
        ValueError: if a value, a shape or a number of rows is wrong, or the database is empty.
    """
    check_pair(query_codes, database_codes)
    if len(database_codes) == 0:
        msg = "database_codes is empty, at least one item is needed"
        raise ValueError(msg)
    for side, codes, labels in (
        ("query", query_codes, query_labels),
        ("database", database_codes, database_labels),
    ):
        check_labels(f"{side}_labels", labels)
        if len(labels) != len(codes):
            msg = f"{side}_labels must have a row per code: {len(codes)} codes, {len(labels)} rows"
            raise ValueError(msg)
    if query_labels.shape[1] != database_labels.shape[1]:
        msg = (
            f"query_labels have {query_labels.shape[1]} columns, database_labels "
            f"{database_labels.shape[1]}; both must list the same labels"
        )
        raise ValueError(msg)


def check_rows(index: Tensor, **columns: Tensor) -> None:
    """Check that every column has a row per index.

    Args:
        index: ``(B,)`` integer.
        columns: the other tensors by argument name.

    Raises:
        ValueError: if ``index`` is not one-dimensional or integer, or a column has other rows.
    """
    if index.dim() != 1 or index.is_floating_point() or index.dtype == torch.bool:
        msg = f"index must be integer of shape (B,), got {index.dtype} {tuple(index.shape)}"
        raise ValueError(msg)
    for name, column in columns.items():
        if len(column) != len(index):
            msg = f"{name} must have a row per index: {len(index)} indices, {len(column)} rows"
            raise ValueError(msg)


def check_inputs(clean: Tensor, adversarial: Tensor) -> None:
    """Check that perturbed inputs have the shape of the clean ones.

    Args:
        clean: ``(B, ...)`` in [0, 1].
        adversarial: ``(B, ...)`` in [0, 1].

    Raises:
        ValueError: if the shapes differ.
    """
    if clean.shape != adversarial.shape or clean.dim() < 2:
        msg = (
            "clean and adversarial must have one shape (B, ...), "
            f"got {tuple(clean.shape)} and {tuple(adversarial.shape)}"
        )
        raise ValueError(msg)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
