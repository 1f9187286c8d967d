"""What hashing all that is read costs: seconds of SHA-256 in each stage of a run, beside the stage's own.

    python benchmarks/hashing.py [SCENES] [SIDE]

Each stage looks at the run folder anew, as a command of its own does, so that nothing has been hashed before.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from landscribe.io.project import open_project
from landscribe.io.run import runs
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.pipeline import do_stage
from landscribe.stages.world import write_world
from landscribe.worlds.world import WorldSpec

RECIPE = """
[data]
source = "dstl"
root = "world"
[[models]]
name = "all"
network = { filters = 8, depth = 3 }
chips = { size = 128, context = 16, batch = 4 }
schedule = { epochs = 1, steps = 10 }
[predict]
symmetries = 1
scenes = "all"
"""


def main() -> None:
    """Time each stage."""
    scenes = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    side = int(sys.argv[2]) if len(sys.argv) > 2 else 1024
    spent = [0.0]
    plain = runs.file_digest

    def timed(path: Path) -> str:
        begin = time.perf_counter()
        digest = plain(path)
        spent[0] += time.perf_counter() - begin
        return digest

    runs.file_digest = timed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(folder / "world", WorldSpec(scenes=scenes, height=side, width=side, seed=1), unlabelled=1)
        (folder / "r.toml").write_text(RECIPE)
        open_run(folder / "run")
        for stage in ("prepare", "train", "predict", "vectorize", "score", "submit", "report"):
            spent[0] = 0.0
            begin = time.perf_counter()
            do_stage(stage, open_project(load_recipe(folder / "r.toml")), Run(folder / "run"))
            whole = time.perf_counter() - begin
            print(f"{stage:10} {whole:7.2f} s, hashed for {spent[0]:6.3f} s, {spent[0] / whole:.1%}", flush=True)


if __name__ == "__main__":
    main()
