"""What an attacker sees, and the losses he makes of it, by loops over one query.

QAIR's relevance (Li et al., CVPR 2021) with the weights of its public code inside ARRA.
"""


def retrieved(code, database, top):
    distances = [
        (sum(a != b for a, b in zip(code, item, strict=True)), number)
        for number, item in enumerate(database)
    ]  # fmt: skip
    return [(number, distance) for distance, number in sorted(distances)][:top]


def distance_loss(code, goal, database, top, targeted):
    shown = dict(retrieved(code, database, top))
    largest = max(shown.values())
    wanted = [number for number, _ in retrieved(goal, database, top)]
    mean = sum(shown.get(number, largest + 1) for number in wanted) / top
    return mean if targeted else -mean


def weight(rank, top):
    def raw(r):
        return top - r if top > 16 else 2 ** (top - r) - 1

    return raw(rank) / sum(raw(r) for r in range(top)) if rank < top else 0.0


def relevance_loss(code, goal, database, top, targeted):
    now = [number for number, _ in retrieved(code, database, top)]
    then = [number for number, _ in retrieved(goal, database, top)]
    total = sum(
        weight(rank, top) * weight(now.index(number), top)
        for rank, number in enumerate(then)
        if number in now
    )
    return -total if targeted else total
