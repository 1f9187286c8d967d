"""Finished models for images in memory, with the bytes that `landscribe predict` writes of the same pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Grid, Window
from landscribe.core.legend import Legend
from landscribe.core.owners import require_owners
from landscribe.core.recipe import Recipe
from landscribe.core.rules.polygonize import polygonize
from landscribe.core.sensors import Sensor, describe_sensors, find_sensor
from landscribe.core.shown import box, lines, table
from landscribe.core.spectral.rules import needs_lowest, rule_of
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.bundle.models import models_at
from landscribe.io.bundle.ready import named_models
from landscribe.io.models.finished import FinishedModels, look_at_models
from landscribe.io.models.image_recipe import recipe_of_models
from landscribe.io.models.ranges import CAUTION, outside, percentiles
from landscribe.io.project import Project, open_project
from landscribe.io.raster.suspects import thin
from landscribe.io.run.runs import Run
from landscribe.io.run.tuned import effective_recipe
from landscribe.io.source.images import wrong_bands
from landscribe.io.source.patterns import own_kinds
from landscribe.io.source.sensor_files import SensorFile, open_sensor
from landscribe.late import geopandas as gpd
from landscribe.library.images import Image, ImageLike, Place, path_of, read_image
from landscribe.library.progress import Told, open_progress
from landscribe.library.rasters import ClassRaster
from landscribe.nn.device import Engine, choose_engine
from landscribe.nn.predict.adapted import adapt_to
from landscribe.nn.predict.prepare_network import engine_for
from landscribe.nn.predict.spectral import spectral_field, spectral_scene
from landscribe.nn.predict.whole import predict_windows, to_bytes, windows_of
from landscribe.nn.scene import SceneArrays
from landscribe.stages.predict.models import LoadedModels, load_models, owners_of
from landscribe.stages.vectorize import MOST_THREADS
from landscribe.workers import usable_processors

ON_REFERENCE = 1e-6
"""Two pixel sizes that differ by less than this share are one."""


@dataclass(frozen=True, repr=False)
class Model:
    """Finished models that together own the classes of a run; made by `load_model`.

    Examples:
        >>> import landscribe as ls
        >>> model = ls.load_model(run.root / "models")
        >>> model.sensors
        {'RGB': ('red', 'green', 'blue')}
        >>> image = project.scenes.by_id("6010_0_0").reference.path
        >>> found = model.predict(image)
        >>> found.values_khw.dtype.name, found.shape
        ('uint8', (10, 128, 131))
        >>> model.polygons(found).attrs["counts"]["building: kept"] >= 0
        True
    """

    project: Project
    """The recipe that images are predicted by, with the models."""
    networks: LoadedModels
    engine: Engine
    """Device and precision; where nobody asked for one, large images may be predicted in bytes (`docs/speed.md`)."""
    notes: tuple[str, ...] = ()
    """What is to be known of the recipe, one line each."""

    @property
    def recipe(self) -> Recipe:
        """How images are predicted and polygons made, with what was tuned."""
        return self.project.recipe

    @property
    def legend(self) -> Legend:
        """Classes in band order."""
        return self.project.legend

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in band order."""
        return self.legend.names

    @property
    def finished(self) -> FinishedModels:
        """What the models say of themselves."""
        if self.project.finished is None:
            raise RecipeError(problem("model", "without finished models", do="make it by load_model"))
        return self.project.finished

    @property
    def sensors(self) -> dict[str, tuple[str, ...]]:
        """Bands of each sensor that is read, in their order; the first one's grid is that of the results."""
        first = sorted(self.finished.sensors, key=lambda s: abs((s.scale or 1.0) - 1) > ON_REFERENCE)
        return {sensor.name: sensor.bands for sensor in first}

    def predict(
        self,
        image: ImageLike | Mapping[str, ImageLike],
        *,
        grid: Grid | Mapping[str, Grid] | None = None,
        transform: Affine | Sequence[float] | None = None,
        crs: Any = None,
        nodata: float | None = None,
        valid_hw: BoolArray | Mapping[str, BoolArray] | None = None,
        anyway: bool = False,
        progress: Told | bool = False,
    ) -> ClassRaster:
        """Predict the probability of every class, without seams, byte for byte as `landscribe predict` does.

        Args:
            image: Raw numbers as the sensor gives them: an array (C, H, W), an open data set of rasterio, a DataArray
                of xarray with rio, or a path. Of models that read several sensors a mapping from their names to these.
            grid: Where an array lies; of several sensors a mapping.
            transform: The same, from pixels (column, row) to ground, where no grid is given.
            crs: CRS of the ground, anything that pyproj takes for one.
            nodata: Value of an array that means "no data" in all bands; NaN lets NaN in.
            valid_hw: False where an array has no data, (H, W); of several sensors a mapping.
            anyway: Predict an image that lies outside of what the models were trained on too, with a note.
            progress: Told of each tile; True shows a bar.

        Returns:
            Probabilities on the grid of the first sensor.

        Raises:
            DataError: If it is no such image, has other bands than the models read, lies nowhere, holds NaN of which
                nothing was said, or lies outside of what the models were trained on.
            LimitError: If it does not fit into memory.
        """

        def place_of(name: str) -> Place:
            own = grid.get(name) if isinstance(grid, Mapping) else grid
            return Place(own, transform, crs, nodata, valid_hw.get(name) if isinstance(valid_hw, Mapping) else valid_hw)

        images = self._read(image, place_of)
        reference = images[next(iter(images))]
        notes = self._cautions(images, reference, anyway=anyway)
        kinds = {sensor.name: sensor.kind for sensor in self.finished.sensors}
        bits = {sensor.name: sensor.bits for sensor in self.finished.sensors}
        specs = describe_sensors({name: kinds[name] for name in images}, self.sensors, bits)
        height, width = reference.grid.shape_hw
        source = SceneArrays(
            reference.name, reference.grid, specs,
            {name: one.grid for name, one in images.items()},
            {name: one.values_chw for name, one in images.items()},
            {name: one.valid_hw for name, one in images.items()},
            np.zeros((0, height, width), np.uint8), np.zeros((height, width), np.bool_),
        )  # fmt: skip
        # Where things end is for runs, which keep it beside the classes.
        owners, settings = owners_of(self.networks, self.project)[: len(self.legend)], self.recipe.predict
        fields = [self._field(source, k) for k in range(len(self.networks.formulas))]
        nets = self.networks.nets
        if settings.adapt != "none":  # a run takes an image for a place of its own, too
            nets = adapt_to(nets, [lambda: nullcontext(source)], self.engine, settings.adapt_share)
        engine = engine_for(self.engine, nets, settings.precision, (height, width))
        windows = windows_of(nets, settings, (height, width), engine)
        values_khw = np.zeros((len(self.legend), height, width), np.uint8)
        running = predict_windows(nets, source, engine, settings, windows)
        with open_progress(progress) as tell, closing(running) as predicted:
            for number, (window, net_khw) in enumerate(predicted, start=1):
                outputs = [*net_khw, *(band for field in fields for band in field(window) / np.float32(255))]
                valid = reference.valid_hw[window.slices]
                values_khw[:, *window.slices] = to_bytes(outputs, valid, owners, settings)[:-1]
                tell(f"predict {reference.name}", number, len(windows))
        return ClassRaster(values_khw, reference.valid_hw, reference.grid, self.legend, reference.name, notes)

    def polygons(self, raster: ClassRaster) -> gpd.GeoDataFrame:
        """Make the polygons of a prediction, as a run does: thresholds, smallest areas and rules of the models.

        Args:
            raster: What `predict` returned.

        Returns:
            Polygons in the CRS of the raster; `attrs["counts"]` says what was kept and left out, by class and reason.

        Raises:
            DataError: If the raster has other classes.
        """
        if raster.classes != self.classes:
            got, need = ", ".join(raster.classes), ", ".join(self.classes)
            raise DataError(problem("polygons", "raster of other classes", got=got, need=need))

        def read(window: Window, bands: Sequence[int]) -> AnyArray:
            return raster.values_khw[list(bands)][:, *window.slices] * raster.valid_hw[window.slices]

        threads = max(1, min(usable_processors(), MOST_THREADS))
        features, counts = polygonize(
            read, raster.grid, raster.name, self.recipe, self.legend, raster.name, threads=threads
        )
        features.attrs["counts"] = counts
        return features

    def __repr__(self) -> str:
        return f"Model({', '.join(self.classes)}; reads {', '.join(self.sensors)}; {self.finished.folder})"

    def _repr_html_(self) -> str:
        sensors = table(["sensor", "bands"], [[name, ", ".join(bands)] for name, bands in self.sensors.items()], text=2)
        rows = [[row, ", ".join(names)] for row, names in self.finished.owned.items()]
        head = f"{self.finished.folder}; {self.engine.device}, {self.engine.precision}"
        return box("Model", head, table(["network", "classes"], rows, text=2), sensors, lines(self.notes))

    def _read(self, image: ImageLike | Mapping[str, ImageLike], place_of: Callable[[str], Place]) -> dict[str, Image]:
        names = list(self.sensors)
        if not isinstance(image, Mapping):
            if len(names) > 1:
                need = f"a mapping from {', '.join(names)} to images"
                raise DataError(problem("image", "the models read several sensors of a scene", got="one", need=need))
            return {names[0]: self._read_sensor(names[0], image, "image", place_of(names[0]))}
        if set(image) != set(names):
            raise DataError(problem("image", "other sensors", got=", ".join(map(str, image)), need=", ".join(names)))
        found = {name: self._read_sensor(name, image[name], f"image, {name}", place_of(name)) for name in names}
        first = found[names[0]].grid
        for name, one in found.items():
            if one.grid.crs == first.crs and not one.grid.footprint.intersects(first.footprint):
                raise DataError(problem(f"image, {name}", f"shows other ground than {names[0]}"))
        return found

    def _read_sensor(self, name: str, image: ImageLike, where: str, place: Place) -> Image:
        sensor, path = self._sensor(name), path_of(image)
        if path is not None:
            file = SensorFile(name, path, sensor)
            with open_sensor(file) as raster:
                wrong = wrong_bands(file, raster.info)
                if wrong:
                    raise DataError(wrong)
                values_chw, valid_hw = raster.read()
                return Image(path.stem, values_chw, valid_hw, raster.info.grid)
        found = read_image(image, where, place)
        if len(found.values_chw) != len(sensor.bands):
            need = f"{len(sensor.bands)} for the models: {', '.join(sensor.band_names)}"
            is_last = found.values_chw.shape[-1] == len(sensor.bands)
            do = "bands come first: np.moveaxis(image, -1, 0)" if is_last else None
            raise DataError(problem(where, "wrong number of bands", got=len(found.values_chw), need=need, do=do))
        if found.values_chw.dtype == np.bool_:
            raise DataError(problem(where, "type of pixels", got="bool", need="numbers as the sensor gives them"))
        return found

    def _sensor(self, name: str) -> Sensor:
        data = self.recipe.data
        return find_sensor(data.sensors[name].kind, own_kinds(data))

    def _cautions(self, images: Mapping[str, Image], reference: Image, *, anyway: bool) -> tuple[str, ...]:
        looked = _Looked(self.sensors, next(iter(images)), reference.grid)
        said: list[str] = []
        for names, ranges in zip(self.networks.sensors, self.networks.ranges, strict=True):
            statistics = {name: _statistics(images[name]) for name in names if name in images}
            said += outside(ranges, statistics, looked)
        if not said:
            return self.notes
        text = "; ".join(dict.fromkeys(said))
        if not anyway:
            what = "lies outside of what the models were trained on"
            said_so = problem(f"image {reference.name!r}", what)
            raise DataError(f"{said_so}: {text}; anyway=True predicts it all the same")
        return (*self.notes, f"{reference.name}: {CAUTION}: {text}")

    def _field(self, source: SceneArrays, number: int) -> Any:
        formula = self.networks.formulas[number]
        scene = spectral_scene(source, formula.sensors)
        lowest = scene.lowest(formula.spectral) if needs_lowest(formula.spectral, source.id) else None
        field = spectral_field(scene, formula.spectral, rule_of(formula.spectral, source.id, lowest))
        return lambda window: field(window)[None]


@dataclass(frozen=True)
class _Looked:
    bands: Mapping[str, tuple[str, ...]]
    reference: str
    grid: Grid


def _statistics(image: Image) -> dict[str, Any]:
    small_chw, small_hw = thin(image.values_chw, image.valid_hw, image.grid.window, image.grid)
    return {"type": image.values_chw.dtype.name, "percentiles": percentiles(small_chw, small_hw)}


def load_model(
    models: str | Path, *, overrides: Sequence[str] = (), trust: bool = False, device: str | None = None
) -> Model:
    """Load the finished models of a run, to predict images with them.

    Args:
        models: Folder of them, such as `runs/city/models`, a bundle that `landscribe export` wrote, or the
            name of a ready model.
        overrides: `table.key=value` each, over the recipe that they keep: `predict.symmetries=1`.
        trust: Take models that somebody has edited, too.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; None takes what a run takes.

    Raises:
        RecipeError: If there is no model, they cannot stand side by side, or the device is absent.
        DataError: If snapshots are asked for and missing.
        IntegrityError: If a file is damaged or edited.

    Examples:
        >>> import landscribe as ls
        >>> model = ls.load_model("runs/city/models", overrides=["predict.symmetries=4"])
        >>> model.recipe.predict.symmetries, model.classes[:2]
        (4, ('building', 'structure'))
    """
    own = named_models(Path(models))
    with models_at(own) as folder:
        return _loaded(folder or own, overrides, trust, device)


def _loaded(models: Path, overrides: Sequence[str], trust: bool, device: str | None) -> Model:
    finished = look_at_models(models, trust=trust)
    loaded, notes = recipe_of_models(finished, overrides, several=True)
    if loaded.recipe.predict.snapshots:
        look_at_models(models, snapshots=True, trust=trust)
    require_owners(finished.owned, loaded.recipe.predict)
    recipe = effective_recipe(loaded.recipe, Run(finished.folder.parent), needed=False)
    project = replace(open_project(loaded), recipe=recipe, finished=finished)
    networks = load_models(finished.folder, project, own=False)
    owners_of(networks, project)
    engine = choose_engine(device, recipe.predict.precision)
    for net in networks.nets:  # built now, so that a damaged file is told here
        net.eval()
    return Model(project, networks, engine, tuple(notes))
