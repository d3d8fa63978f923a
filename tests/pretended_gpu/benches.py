"""The benchmarks' contenders on the pretended device, in small."""

from argparse import Namespace

from benchmarks import clips, encoder, evaluator
from benchmarks.attack import ANY_ORDER, TF32, TORCHS, Case
from lightning_hash.models import build_model
from lightning_hash.victims import Kernels, Victim
from tests.pretended_gpu.device import WAITS


def check_attack(place):
    """Loops wait for nothing; the authors' own does, for the norm of each gradient at least."""
    case = Case("convnet", 16, 4, 3, 1, "cuda", choose=False)
    seconds = [case.module(), case.authors()]
    WAITS.clear()
    for arithmetic in (TF32, ANY_ORDER, TORCHS):
        with WAITS.of("bare"):
            seconds.append(case.bare(Kernels(), arithmetic))
    return {"seconds": seconds, "waits": WAITS.during("bare")}


def check_clips(place):
    clips.alone("cuda", "convnet", 2, 3, 16, 2, 2, 2)
    clips.training("cuda", 10, 64, 1)
    return {}


def check_encoder(place):
    victim = Victim(build_model("convnet", 8).eval().requires_grad_(requires_grad=False))
    data = encoder.RandomData(12, 16)
    data.setup("predict")
    runs = encoder.bare_models("cuda", victim, data.query_set.images.split(4))
    runs["encode"] = lambda: encoder.encode("cuda", victim, data, 4)
    return {name: run() for name, run in runs.items()}


def check_evaluator(place):
    options = Namespace(queries=20, items=300, bits=16, labels=3, rounds=1, device="cuda")
    evaluator.compare(options, top_k=50)
    evaluator.alone("cuda", 20, 300, 16, 3, 50, "expected")
    return {}


CHECKS = [
    ("benchmark attack", check_attack),
    ("benchmark clips", check_clips),
    ("benchmark encoder", check_encoder),
    ("benchmark evaluator", check_evaluator),
]
