"""A query-counting search, written as a user of the package writes one."""

import torch

from lightning_hash.attacks import Answer, Search, query_generator


class RandomSearch(Search):
    """Ask three times a step about each unfinished query: try random signs, keep the best.

    Args:
        params: the perturbation's parameters.
        bits: a query of this success or more is finished, and asked no more.
        seed: seed of the draws.
    """

    def __init__(self, params, bits=8, seed=0):
        self.bits, self.seed = bits, seed
        super().__init__(params, {})

    def search(self, closure):
        (delta,), index = self.param_groups[0]["params"], self.queries.index
        state, first = self.state[delta], not self.state[delta]
        if first:
            start, tries = closure(), torch.zeros_like(index)
            state |= {"losses": start.losses, "success": start.success, "tries": tries}
        for _ in range(2 if first else 3):
            rows = torch.nonzero(state["success"] < self.bits).flatten()
            before, signs = delta[rows], torch.zeros(len(rows), *delta.shape[1:])
            for row, place in enumerate(rows):
                key = f"{self.seed}/{index[place]}/{state['tries'][place]}"
                signs[row] = torch.randn(signs[row].shape, generator=query_generator(key)).sign()
            delta[rows] = self.perturbation.budget.epsilon * signs.to(delta)
            self.perturbation.project(self.queries.inputs)
            answer = closure(rows)
            better = answer.success > state["success"][rows]
            for name in ("losses", "success"):
                state[name][rows[better]] = getattr(answer, name)[better]
            delta[rows[~better]], state["tries"][rows] = before[~better], state["tries"][rows] + 1
        return Answer(state["losses"], state["success"], self.queries.asked)
