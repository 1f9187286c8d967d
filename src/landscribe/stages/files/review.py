"""`review`: what a run found, as a file that people correct."""

from __future__ import annotations

from pathlib import Path

from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.run.runs import COMBINED, Run
from landscribe.io.safety import require_output
from landscribe.io.vector.review import write_review_file


def review(run: Run, out: Path) -> dict[Path, int]:
    """Write the polygons of a run with an empty verdict each.

    Args:
        run: The run folder; `vectorize` must have run. It is only read.
        out: GeoPackage to write. Pictures without a place get one each, named after it and the picture.

    Returns:
        File -> number of polygons.

    Raises:
        DataError: If nothing was vectorized.
        RecipeError: If a file is there already, for it may hold somebody's work, or is no GeoPackage by its name.
        IntegrityError: If the polygons are not what was written.
        OSError: If the disk is full.
    """
    require_output(out, (), (".gpkg",))
    together = run.path("features", COMBINED)
    sources = {out: together}
    if not together.exists():
        pictures = sorted(run.path("features").glob("*.gpkg"))
        sources = {out.with_name(f"{out.stem}-{path.stem}.gpkg"): path for path in pictures}
    if not sources:
        raise DataError(problem(str(run.root), "no polygons to review", do="run `landscribe vectorize` first"))
    for target in sources:
        if target.exists():
            do = "choose another --out, or remove it if nobody worked on it"
            raise RecipeError(problem(str(target), "is there already", do=do))
    return {target: write_review_file(run.checked(path), target) for target, path in sources.items()}
