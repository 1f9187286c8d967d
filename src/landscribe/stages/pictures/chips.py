"""`pictures --chips`: chips of training as a network sees them, before and after each change, a PNG per model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from landscribe.core.arrays import ByteArray, FloatArray
from landscribe.core.recipe import ChipTable
from landscribe.errors import LandscribeError, RecipeError, problem
from landscribe.io.atomic import write_bytes
from landscribe.io.names import safe_name
from landscribe.io.project import Progress, Project, StageResult, make_items, silent
from landscribe.io.project.splits import open_side, split_of
from landscribe.io.project.training import Job, training_jobs
from landscribe.io.run.runs import Made, Run, make_key
from landscribe.report.pictures import choose_bands

if TYPE_CHECKING:  # torch takes seconds to import, and not every command needs it
    from landscribe.nn.train.chips import Chips
    from landscribe.nn.train.setup import Setup

FORMAT = 2
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""
ROWS, MOST_SCENES = 6, 16
"""Chips that are shown, and scenes that they come from."""
SIDE_PX, GAP_PX, HEAD_PX = 160, 4, 18
"""Of a chip in the picture, between chips, and of the line above them."""
KINDS = {
    "gain, offset": ("gain", "band_gain", "band_contrast", "band_offset"),
    "gamma": ("gamma",),
    "saturation": ("saturation",),
    "haze": ("haze",),
    "blur": ("blur",),
    "noise": ("noise",),
    "match": ("match",),
    "cutmix": ("cutmix",),
}
"""Head of a column -> settings that it shows alone."""
FOR_SOME = ("match", "cutmix")
"""Settings that say how many chips get something; in their column all do."""
PLAIN, TOGETHER, LABELS = "as it is", "together", "labels"


def chips(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Draw the first chips that each network of a recipe is trained on: as they are, after each change, and together.

    Places, turns and zoom are those of training in all columns; of `match` and `cutmix` all chips that are shown get
    some. The last column has the labels that belong to the one before it.

    Args:
        project: The recipe with its data.
        run: The run folder; `prepare` must have run.
        progress: Told of each model.

    Returns:
        What was made, what was up to date.

    Raises:
        RecipeError: If no model is a network.
    """
    prepared = run.require("prepare")
    jobs = training_jobs(project, run, split_of(project, run))
    networks = {item: job for item, job in jobs.items() if job.table.kind == "network" and "~" not in item}
    if not networks:
        raise RecipeError(problem("pictures --chips", "no model is a network", got=f"{len(jobs)} models"))
    colours = [(c.name, c.colour) for c in project.legend]

    def key_of(item: str) -> str:
        return make_key(FORMAT, colours=colours, **networks[item].made_from(prepared))

    def make(item: str) -> Made:
        target = run.path("pictures", "chips", f"{safe_name(item)}.png")
        sheet_hwc = _sheet(project, run, networks[item])
        fine, content = cv2.imencode(".png", sheet_hwc[..., ::-1])
        if not fine:
            raise LandscribeError(problem("pictures", "OpenCV cannot write PNG", do="install opencv-python-headless"))
        write_bytes(target, content.tobytes())
        return Made((target,), {"chips": ROWS})

    return make_items(run, "chips", networks, key_of, make, progress)


def columns_of(table: ChipTable) -> dict[str, ChipTable]:
    """Return what is shown of a model's chips: the head of each column, and the chips in it."""
    strong = table.strong
    still = {key: 0.0 for keys in KINDS.values() for key in keys}
    shown = strong.model_copy(update=still | {"batch": ROWS})
    columns = {PLAIN: shown}
    for head, keys in KINDS.items():
        own = {key: getattr(strong, key) for key in keys if getattr(strong, key)}
        if own:
            columns[head] = shown.model_copy(update={key: 1.0 if key in FOR_SOME else own[key] for key in own})
    return columns | {TOGETHER: strong.model_copy(update={"batch": ROWS})}


def _sheet(project: Project, run: Run, job: Job) -> ByteArray:
    from landscribe.nn.train.chips import cut_chips, draw_plan

    setup = _setup(project, run, job)
    strips = {}
    for head, table in columns_of(job.table.chips).items():
        cut = cut_chips(setup.bank, table, draw_plan(setup.bank, table, job.seed, 0))
        strips[head] = _pictures(setup, cut)
        if head == TOGETHER:
            colours = [project.legend.by_name(name).colour for name in job.classes]
            strips[LABELS] = _outlined(strips[head], cut, colours, table.context)
    return _laid_out(strips)


def _setup(project: Project, run: Run, job: Job) -> Setup:
    """Return what a training of some of the scenes begins with."""
    import torch

    from landscribe.nn.device import choose_engine
    from landscribe.nn.network.bundle import model_spec
    from landscribe.nn.train.decoded import decode_scenes, in_memory
    from landscribe.nn.train.setup import set_up

    ids = job.split.train
    picked = ids[:: -(-len(ids) // MOST_SCENES)]
    scenes = [open_side(run, i, job.split, "train") for i in picked]
    spec = model_spec(job.table, job.classes, scenes)
    positions = [project.legend.index(name) for name in job.classes]
    decoded = decode_scenes(scenes, [sensor.name for sensor in spec.sensors], positions, in_memory)
    engine = choose_engine("cpu", "float32")
    return set_up(job.table, spec, decoded, engine, torch.device("cpu"), job.seed, quantiles=job.quantiles)


def _pictures(setup: Setup, cut: Chips) -> list[ByteArray]:
    """Return chips as pictures, uint8 (S, S, 3): three bands, from the 1st to the 99th percentile of all scenes."""
    sensor, positions = choose_bands({s.name: s.bands for s in setup.net.spec.sensors})
    bands, places = setup.bank.bands[sensor], list(positions)
    low_c, high_c = bands.low[places], bands.high[places]
    images: FloatArray = cut.images[sensor].permute(0, 2, 3, 1).numpy()[..., places]
    seen_bhw = cut.valid[sensor][:, 0].numpy()
    span_c = np.where(high_c > low_c, high_c - low_c, 1)
    shown = np.clip((images - low_c) / span_c * 255, 0, 255)
    shown[~seen_bhw] = 128
    return [_sized(image_hwc.astype(np.uint8)) for image_hwc in shown]


def _sized(image_hwc: ByteArray) -> ByteArray:
    way = cv2.INTER_NEAREST if len(image_hwc) < SIDE_PX else cv2.INTER_AREA
    return np.asarray(cv2.resize(image_hwc, (SIDE_PX, SIDE_PX), interpolation=way), np.uint8)


def _outlined(pictures: list[ByteArray], cut: Chips, colours: list[str], context: int) -> list[ByteArray]:
    """Return pictures with the outlines of each class, and grey where nothing is learned from."""
    outlined = []
    for picture_hwc, target_khw, known in zip(pictures, cut.target.numpy(), cut.weight.numpy(), strict=True):
        frame = ((context, context), (context, context))
        drawn_hwc = picture_hwc.copy()
        learned_hw = _sized(np.pad((known[0] > 0).astype(np.uint8), frame)) > 0
        drawn_hwc[~learned_hw] = drawn_hwc[~learned_hw] // 2 + 64
        for share_hw, colour in zip(target_khw, colours, strict=True):
            mask_hw = _sized(np.pad((share_hw >= 0.5).astype(np.uint8), frame))
            lines, _ = cv2.findContours(mask_hw, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(drawn_hwc, lines, -1, tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)), 1)
        outlined.append(drawn_hwc)
    return outlined


def _laid_out(strips: dict[str, list[ByteArray]]) -> ByteArray:
    """Return a sheet: a column for each strip, a row for each chip, heads above."""
    step = SIDE_PX + GAP_PX
    sheet_hwc = np.full((HEAD_PX + ROWS * step, len(strips) * step, 3), 255, np.uint8)
    for k, (head, pictures) in enumerate(strips.items()):
        cv2.putText(
            sheet_hwc, head, (k * step + 2, HEAD_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA
        )
        for row, picture_hwc in enumerate(pictures):
            top, left = HEAD_PX + row * step, k * step
            sheet_hwc[top : top + SIDE_PX, left : left + SIDE_PX] = picture_hwc
    return sheet_hwc
