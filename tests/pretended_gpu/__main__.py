"""Run the program on the pretended device and write what was seen, a JSON object for each check.

python -m tests.pretended_gpu OUT.json [beginnings of names]
"""

import json
import logging
import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from tests.pretended_gpu.device import Pretence, install

install()

from tests.gpu_check.frame import Place  # noqa: E402
from tests.pretended_gpu import benches, commands, memory, parts  # noqa: E402


def main():
    target, *beginnings = sys.argv[1:]
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    checks = {
        name: check for part in (commands, parts, memory, benches) for name, check in part.CHECKS
    }
    target, found = Path(target).resolve(), {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        place = Place("cuda", Path(folder), sys.stderr)
        with Pretence():
            found["verb fit"] = commands.check_fit(place)
        for name, check in checks.items():
            if beginnings and not name.startswith(tuple(beginnings)):
                continue
            try:
                with Pretence():
                    found[name] = check(place)
            except Exception as error:
                found[name] = {"error": f"{type(error).__name__}: {error}"}
                traceback.print_exc()
            print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
            target.write_text(json.dumps(found))
        os.chdir("/")


if __name__ == "__main__":
    main()
