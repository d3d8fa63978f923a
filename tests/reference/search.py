"""A search as a loop over bits."""


def nearest(queries, database, top):
    """Return ``(distance, row)`` of the first items, those at one distance in their order."""
    found = []
    for query in queries:
        pairs = []
        for row, code in enumerate(database):
            distance = 0
            for a, b in zip(query, code, strict=True):
                if a != b:
                    distance += 1
            pairs.append((distance, row))
        found.append(sorted(pairs)[:top])
    return found
