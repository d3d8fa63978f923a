"""Several runs from one file, 06_sweep.yaml: does what fools one victim fool another?"""

from pathlib import Path

from lightning_hash.results.runs import find_runs
from lightning_hash.sweeps import Sweep, read_plan

runs = Path("runs/06")
Sweep(runs).run(read_plan([Path(__file__).with_name("06_sweep.yaml")], "full"))

(transfer,) = (run for run in find_runs([runs / "transfer"]))
rows = [r for r in transfer.rows if r.metric == "map" and r.is_attack and r.quantized]
for row in rows:
    bits = row.get("victim.bits")
    print(f"MAP after HAG on 32 bits, of the victim with {bits} bits: {row.value:.4f}")
