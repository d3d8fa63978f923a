"""Result rows made by hand."""

from lightning_hash.results.rows import ResultRow


def row(**changes):
    given = {
        "metric": "map", "value": 0.5, "iteration": 100, "quantized": False, "attack": "hag",
        "epsilon": 10 / 255, "epsilon_space": "pixel", "n_t": 9, "seed": 0, "victim_sha256": "a",
        "bits": 32, "top_k": 1000, "seconds": 1.25, "iterations": 100,
    }  # fmt: skip
    return ResultRow(**{**given, **changes})


def run(attack, value, **changes):
    return [
        row(metric="map", attack="none", iteration=0, value=0.9, **changes),
        row(metric="t_map", attack="none", iteration=0, value=0.1, **changes),
        row(metric="t_map", attack="anchor", iteration=0, value=0.95, **changes),
        row(attack=attack, value=0.9, iteration=0, **changes),
        row(attack=attack, value=value, **changes),
        row(attack=attack, value=value + 0.01, quantized=True, **changes),
        row(attack=attack, metric="t_map", value=value + 0.2, **changes),
    ]
