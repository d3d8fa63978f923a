"""The command line, which gets SIGTERM when it comes to a moment of its run.

``TRIAL_MOMENT`` names the moment; the first process gets the signal, and with ``TRIAL_GROUP`` all.
"""

import builtins
import os
import signal
import sys
from importlib import import_module

_MODULES = "lightning_hash.modules"
_FIT, _ATTACK = f"{_MODULES}.hash_module:HashModule", f"{_MODULES}.attack_module:AttackModule"
_TRAINER = "lightning_hash.engine.trainer:HashTrainer"
_LAUNCHER = "pytorch_lightning.strategies.launchers:_SubprocessScriptLauncher"
_DATA = "lightning_hash.data:SamplePhotos"
# A moment is the call of a method, where a condition on its object holds.
MOMENTS = {
    "fit": {
        "import": None,
        "launch": (_LAUNCHER, "_call_children_scripts"),
        "data set-up": (_DATA, "setup"),
        "sanity check": (_FIT, "validation_step", lambda module: module.trainer.sanity_checking),
        "training": (_FIT, "training_step", lambda module: module.current_epoch == 1),
        "validation": (_FIT, "validation_step", lambda m: not m.trainer.sanity_checking),
        "saving": (_TRAINER, "save_checkpoint"),
        "end of training": ("lightning_hash.engine.callbacks:LastEpoch", "on_train_end"),
        "between training and test": ("lightning_hash.commands.fit", "_to_test"),
        "testing": (_FIT, "test_step"),
        "result writing": ("lightning_hash.engine.callbacks:SummaryTable", "teardown"),
    },
    "attack": {
        "import": None,
        "launch": (_LAUNCHER, "_call_children_scripts"),
        "data set-up": (_DATA, "setup"),
        "encoding": (f"{_MODULES}.encoder:Encoder", "predict_step"),
        "references": (_ATTACK, "on_fit_start"),
        "training": (_ATTACK, "training_step", lambda module: module.current_epoch == 1),
        "milestone": (_ATTACK, "_score"),
        "saving": (_TRAINER, "save_checkpoint"),
        "between training and test": (_ATTACK, "check_untouched"),
        "testing": (f"{_MODULES}.score_module:ScoreModule", "test_step"),
        "result writing": ("lightning_hash.engine.callbacks:RunFolder", "on_test_end"),
    },
}
SENT = "the signal is sent"


def _send():
    if os.environ.get("LOCAL_RANK", "0") == "0" and not getattr(_send, "done", False):
        _send.done = True
        print(SENT, flush=True)
        if "TRIAL_GROUP" in os.environ:
            os.killpg(os.getpgid(0), signal.SIGTERM)
        else:
            os.kill(os.getpid(), signal.SIGTERM)


def _plant(place, name, holds=lambda owner: True):
    module, _, owner = place.partition(":")
    owner = getattr(import_module(module), owner) if owner else import_module(module)
    plain = getattr(owner, name)

    def then(self, *args, **options):
        if name != "_call_children_scripts" and holds(self):
            _send()
        value = plain(self, *args, **options)
        if name == "_call_children_scripts":
            _send()
        return value

    setattr(owner, name, then)


def main():
    moment = MOMENTS[sys.argv[1]][os.environ["TRIAL_MOMENT"]]
    if moment is None:
        plain = builtins.__import__

        def seen(name, *args, **options):
            if name == "pytorch_lightning":
                _send()
            return plain(name, *args, **options)

        builtins.__import__ = seen
    else:
        _plant(*moment)
    from lightning_hash.__main__ import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
