"""A query-counting search, written as a user of the package writes one."""

import torch

from lightning_hash.attacks import Answer, Search, query_generator


class RandomSearch(Search):
    """Try two random signs a step for each unfinished query, and keep the best.

    Args:
        params: the perturbation's parameters.
        bits: queries of this success or more are finished.
        seed: seed of the draws.
    """

    def __init__(self, params, bits=8, seed=0):
        self.bits, self.seed = bits, seed
        super().__init__(params, {})

    def search(self, closure):
        (delta,) = self.param_groups[0]["params"]
        state, index = self.state[delta], self.queries.index
        state["iteration"] = state.get("iteration", -1) + 1
        if "losses" not in state:
            first = closure()
            state["losses"], state["success"] = first.losses, first.success
        rows = torch.nonzero(state["success"] < self.bits).flatten()
        for attempt in range(3 if state["iteration"] else 2):
            before, start = delta[rows].clone(), (state["iteration"], attempt)
            keys = [f"{self.seed}/{int(query)}/{start}" for query in index[rows]]
            draws = [torch.randn(delta.shape[1:], generator=query_generator(k)) for k in keys]
            if draws:
                delta[rows] = self.perturbation.budget.epsilon * torch.stack(draws).sign()
            self.perturbation.project(self.queries.inputs)
            answer = closure(rows)
            better = answer.success > state["success"][rows]
            for name in ("losses", "success"):
                state[name][rows] = torch.where(better, getattr(answer, name), state[name][rows])
            kept = better.view(-1, *[1] * (delta.dim() - 1))
            delta[rows] = torch.where(kept, delta[rows], before)
        return Answer(state["losses"], state["success"], self.queries.asked)
