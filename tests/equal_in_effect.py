"""Changes of formulas that change no result, and why: ``make mutants`` leaves them out.

Each is a file, how the line begins, how the change begins, and the reason. One that fits no change
any more is an error.
"""

EQUAL = (
    ("functional/average_precision.py", "width = int(", "minimum -> maximum",
     "a wider window holds numbers of probability 0"),
    ("functional/average_precision.py", "width = int(", "1 -> 2", "as above"),
    ("functional/average_precision.py", "width = int(", "2 -> 3", "as above"),
    ("functional/average_precision.py", "reach = torch.ceil(5", "ceil -> floor",
     "what lies beyond ten standard deviations is below 1e-20"),
    ("functional/average_precision.py", "reach = torch.ceil(5", "5 -> 6", "as above"),
    ("functional/average_precision.py", "reach = torch.ceil(5", "20 -> 21", "as above"),
    ("functional/average_precision.py", "through = (before < cut)", "Lt -> LtE",
     "a distance that begins at the cut has no places before it"),
    ("functional/frames.py", "order = torch.argsort(torch.where(live, norms, -1.0)", "1.0 -> 2.0",
     "any number below all norms"),
    ("functional/label_codes.py", "return torch.where(votes > -1e-12", "Gt -> GtE",
     "no sum of fractions is -1e-12"),
    ("functional/labels.py", "return torch.cat([first @ part", "Gt -> GtE",
     "whole numbers are not 0.5"),
    ("losses/hash_centers.py", "pairs = num_classes", "FloorDiv -> Div",
     "of two numbers in a row one is even"),
    ("losses/hash_centers.py", "hopeless = pairs >", "Gt -> GtE", "a chance of e^-40 either way"),
    ("losses/hash_centers.py", "for _ in range(0 if hopeless", "0 -> 1",
     "one draw that has a chance of e^-40"),
    ("losses/pairs.py", "if other_logits is None or other_labels is None", "Or -> And",
     "one is None where the other is, by the check before"),
    ("attacks/around.py", "before = [parameter.detach()", "detach -> clone",
     "it is only copied from, under no_grad"),
    ("attacks/asking_queries.py", "counts = torch.zeros(len(codes)", "zeros -> ones",
     "rows of queries that nobody asks are not read"),
    ("attacks/box.py", "def __init__(self, epsilon", "1.0 -> 2.0", "it is not looked at"),
    ("attacks/l2.py", "cost = torch.where(gain > 0", "Gt -> GtE",
     "what gains nothing is not moved, wherever it stands in the order"),
    ("attacks/perturbations/patch.py", "return (perturbed - inputs).detach()", "detach -> clone",
     "only its values are looked at"),
    ("attacks/prototypes.py", "few = len(vectors) <= BATCH", "LtE -> Lt",
     "either way the same sums, in another order"),
    ("attacks/schedule.py", "if iteration < start * iterations - 1e-9", "Lt -> LtE",
     "no whole number is as far below another"),
    ("attacks/state.py", 'rows[f"parameter/{name}"] = parameter', "detach -> clone",
     "a file holds the values"),
    ("functional/candidates.py", "labels = (codes.new_ones(", "1 -> 2",
     "two labels that all have are as good as one"),
    ("functional/packed.py", "words = np.zeros(", "1 -> 2", "a word more that is 0 on both sides"),
    ("functional/packed.py", "words = np.zeros(", "zeros -> ones",
     "the 1 is in each word's lowest octet, which is written"),
    ("functional/ranking.py", "for rows in steps(list(ranking.chunks(cut or", "Or -> And: cut or",
     "how many queries are compared at a time"),
    ("attacks/apgd.py", 'if state["done"] + 1 < self.iterations', "Lt -> LtE",
     "a move behind the last question is asked about no more"),
    ("attacks/item_codes.py", "width = max((len(each) for each in rows), default=0)", "0 -> 1",
     "the width of no rows"),
    ("attacks/l2.py", "nearest = wanted.round().clamp(0, 255)", "255 -> 256",
     "adversarial images end at 1"),
    ("attacks/objectives/candidate.py", "there = (codes != 0)", "any -> all",
     "a code has no 0, and where there is none all are 0"),
    ("attacks/objectives/hinge.py", "return ((logits > 0) == (self._wanted", "Gt -> GtE: self._w",
     "a code has no 0"),
    ("attacks/objectives/hinge.py", "code = torch.where(reference > 0", "Gt -> GtE",
     "a code has no 0, and a logit is one by chance alone"),
    ("attacks/perturbations/patch.py", "corner = [0, 0]", "0 -> 1",
     "read where the place is fixed, and there replaced"),
    ("attacks/perturbations/universal.py", "if delta.dim() == 4 and delta.shape[-2:]", "And -> Or",
     "what is resized to its own size stays"),
    ("attacks/perturbations/universal.py", "if delta.dim() == 4 and delta.shape[-2:]",
     "dropped USub", "of images the same; what is resized to its own size stays"),
    ("attacks/queries.py", "said: Tensor", "False -> True", "the constructor takes one more"),
    ("attacks/queries.py", "goal_list: Tensor", "False -> True", "as above"),
    ("attacks/searches/nes.py", 'estimate /= 2 * group["pairs"]', "Mult -> Div",
     "a direction of steepest descent has no scale"),
    ("attacks/searches/nes.py", 'estimate /= 2 * group["pairs"]', "2 -> 3", "as above"),
)  # fmt: skip


def without_equal(mutants, line_of):
    """Return the mutants that are none of these.

    Args:
        mutants: all of them.
        line_of: a mutant to its line, stripped.
    """
    left, seen = [], set()
    for mutant in mutants:
        fits = [
            entry
            for entry in EQUAL
            if mutant.file.endswith(entry[0])
            and line_of(mutant).startswith(entry[1])
            and mutant.change.startswith(entry[2])
        ]
        seen.update(fits)
        if not fits:
            left.append(mutant)
    gone = [entry for entry in EQUAL if entry not in seen]
    if gone:
        msg = f"tests/equal_in_effect.py: no change fits {gone}; take them out or correct them"
        raise ValueError(msg)
    return left
