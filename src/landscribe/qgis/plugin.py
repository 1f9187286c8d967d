"""Landscribe in QGIS: Train, Predict and Review in the Processing toolbox.

Each runs the `landscribe` command of the environment that installed this plugin, as a process of its own: nothing of
Landscribe is imported into QGIS. Written for Python 3.9 and later and QGIS 3.22 and later, Qt 5 or 6.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingOutputFile,
    QgsProcessingOutputFolder,
    QgsProcessingOutputHtml,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
    QgsProcessingProvider,
)

PARTLY = 4
"""Exit code of a command that did some scenes and not others."""
LEAVE_S = 30
"""Time for a command to end once it was asked to."""
OF_QGIS = ("PYTHONHOME", "PYTHONPATH", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA", "QT_PLUGIN_PATH")
"""What QGIS sets for itself and another Python must not see."""
STEP = re.compile(r"^(.*): (\d+) of (\d+)$")


def classFactory(_iface: Any) -> Plugin:  # noqa: N802
    """Called by QGIS, by this name."""
    return Plugin()


class Plugin:
    """Adds the provider to QGIS, with or without a window."""

    def __init__(self) -> None:
        self.provider: Provider | None = None

    def initProcessing(self) -> None:  # noqa: N802
        """Called by `qgis_process`, which has no window."""
        self.provider = Provider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:  # noqa: N802
        """Called by QGIS when the plugin is ticked."""
        self.initProcessing()

    def unload(self) -> None:
        """Called by QGIS when it is unticked."""
        QgsApplication.processingRegistry().removeProvider(self.provider)


class Provider(QgsProcessingProvider):
    """The group in the toolbox."""

    def id(self) -> str:
        """Return what algorithms are called by: `landscribe:predict`."""
        return "landscribe"

    def name(self) -> str:
        """Return what is shown."""
        return "Landscribe"

    def loadAlgorithms(self) -> None:  # noqa: N802
        """Add the three."""
        for algorithm in (Train, Predict, Review):
            self.addAlgorithm(algorithm())


class Algorithm(QgsProcessingAlgorithm):
    """What the three have in common."""

    word, title, text = "", "", ""

    def name(self) -> str:
        """Return the name in scripts."""
        return self.word

    def displayName(self) -> str:  # noqa: N802
        """Return the name in the toolbox."""
        return self.title

    def shortHelpString(self) -> str:  # noqa: N802
        """Return what stands beside the form."""
        return self.text

    def createInstance(self) -> Algorithm:  # noqa: N802
        """Return a new one for each use."""
        return type(self)()

    def add_advanced(self, parameter: Any) -> None:
        """Add a parameter below the fold."""
        try:
            flag = QgsProcessingParameterDefinition.Flag.FlagAdvanced
        except AttributeError:  # before QGIS 3.30
            flag = QgsProcessingParameterDefinition.FlagAdvanced
        parameter.setFlags(parameter.flags() | flag)
        self.addParameter(parameter)

    def add_command(self) -> None:
        """Add the parameter that names another installation."""
        text = "Landscribe command (empty: that which installed this plugin)"
        self.add_advanced(QgsProcessingParameterString("COMMAND", text, optional=True))

    def command(self, parameters: Any, context: Any) -> list[str]:
        """Return the beginning of every command line."""
        other = self.parameterAsString(parameters, "COMMAND", context).strip()
        return [other] if other else json.loads(Path(__file__).with_name("command.json").read_text(encoding="utf-8"))

    def show(self, path: Path, name: str, output: str, context: Any) -> None:
        """Have QGIS open a layer, with its own style, once the algorithm is done."""
        details = QgsProcessingContext.LayerDetails(name, context.project(), output)
        context.addLayerToLoadOnCompletion(str(path), details)


class Train(Algorithm):
    """A folder of images and labels in, a run folder with networks, polygons and a report out."""

    word, title = "train", "Train"
    text = (
        "Takes a folder of images and labels as `landscribe init` finds them, or a recipe, and does all stages: check, "
        "prepare, train, predict, vectorize, score, report. What was finished is kept: a run that was cancelled goes "
        "on where it was when it is started with the same run folder."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802
        """Say what is asked for and what comes out."""
        folder = QgsProcessingParameterFile.Folder
        self.addParameter(
            QgsProcessingParameterFile("FOLDER", "Folder of images and labels", behavior=folder, optional=True)
        )
        self.addParameter(
            QgsProcessingParameterFile("RECIPE", "Recipe (instead of the folder)", extension="toml", optional=True)
        )
        self.addParameter(
            QgsProcessingParameterString("SETTINGS", "Settings, one KEY=VALUE a line", multiLine=True, optional=True)
        )
        self.addParameter(QgsProcessingParameterFolderDestination("RUN", "Run folder"))
        self.add_command()
        self.addOutput(QgsProcessingOutputVectorLayer("FEATURES", "Polygons"))
        self.addOutput(QgsProcessingOutputFolder("MODELS", "Networks"))
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def processAlgorithm(self, parameters: Any, context: Any, feedback: Any) -> dict[str, str]:  # noqa: N802
        """Write the recipe if there is none, then run it."""
        folder = self.parameterAsString(parameters, "FOLDER", context)
        recipe = self.parameterAsString(parameters, "RECIPE", context)
        run = Path(self.parameterAsString(parameters, "RUN", context))
        command = self.command(parameters, context)
        if not (folder or recipe):
            raise QgsProcessingException("Say the folder of images and labels, or a recipe.")
        if not recipe:
            run.parent.mkdir(parents=True, exist_ok=True)
            recipe = str(run.with_name(run.name + ".toml"))
            if not Path(recipe).exists():
                call([*command, "init", folder, "--out", recipe], feedback)
        lines = self.parameterAsString(parameters, "SETTINGS", context).splitlines()
        settings = [part for line in lines if line.strip() for part in ("--set", line.strip())]
        call([*command, "run", recipe, "--run", str(run), *settings], feedback)
        found = {"RUN": str(run), "MODELS": str(run / "models"), "REPORT": str(run / "report.html")}
        return {**found, **show_features(self, run / "features", context)}


class Predict(Algorithm):
    """Images and finished networks in, probabilities and polygons out."""

    word, title = "predict", "Predict"
    text = (
        "Finds on images what networks were trained to find. Images unlike those that the networks were trained on "
        "(another type of pixels, range, band order or pixel size) are refused by name, unless that is meant."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802
        """Say what is asked for and what comes out."""
        self.addParameter(QgsProcessingParameterMultipleLayers("INPUT", "Images", QgsProcessing.TypeRaster))
        folder = QgsProcessingParameterFile.Folder
        self.addParameter(
            QgsProcessingParameterFile("MODELS", "Networks (a run's folder `models`)", behavior=folder, optional=True)
        )
        self.addParameter(
            QgsProcessingParameterFile("BUNDLE", "Bundle (instead of the folder)", extension="zip", optional=True)
        )
        self.addParameter(QgsProcessingParameterFolderDestination("FOLDER", "Folder of results"))
        self.add_advanced(
            QgsProcessingParameterBoolean("ANYWAY", "Predict images unlike the training images", defaultValue=False)
        )
        self.add_command()
        self.addOutput(QgsProcessingOutputVectorLayer("FEATURES", "Polygons"))

    def processAlgorithm(self, parameters: Any, context: Any, feedback: Any) -> dict[str, str]:  # noqa: N802
        """Run `landscribe predict`."""
        images = [layer.source().split("|")[0] for layer in self.parameterAsLayerList(parameters, "INPUT", context)]
        models = self.parameterAsString(parameters, "BUNDLE", context)
        models = models or self.parameterAsString(parameters, "MODELS", context)
        folder = Path(self.parameterAsString(parameters, "FOLDER", context))
        if not models:
            raise QgsProcessingException("Say the folder of the networks, or a bundle.")
        anyway = ["--anyway"] if self.parameterAsBool(parameters, "ANYWAY", context) else []
        words = ["predict", *images, "--models", models, "--out", str(folder), *anyway]
        call([*self.command(parameters, context), *words], feedback)
        return {"FOLDER": str(folder), **show_features(self, folder, context)}


class Review(Algorithm):
    """The polygons of a run in, a GeoPackage for verdicts out."""

    word, title = "review", "Review"
    text = (
        "Copies what a run found into a GeoPackage with a column `verdict` (accept, reject) and a layer `looked` for "
        "the areas that were looked at. Edit it as any layer: change shapes and classes, delete, draw what was missed."
    )

    def initAlgorithm(self, _configuration: Any = None) -> None:  # noqa: N802
        """Say what is asked for and what comes out."""
        folder = QgsProcessingParameterFile.Folder
        self.addParameter(QgsProcessingParameterFile("RUN", "Run folder", behavior=folder))
        self.addParameter(QgsProcessingParameterVectorDestination("REVIEW", "File of the review"))
        self.add_command()
        self.addOutput(QgsProcessingOutputFile("FILE", "File of the review"))

    def processAlgorithm(self, parameters: Any, context: Any, feedback: Any) -> dict[str, str]:  # noqa: N802
        """Run `landscribe review`."""
        run = self.parameterAsString(parameters, "RUN", context)
        out = self.parameterAsOutputLayer(parameters, "REVIEW", context)
        call([*self.command(parameters, context), "review", run, "--out", out], feedback)
        self.show(Path(f"{out}|layername=looked"), "looked at", "REVIEW", context)
        return {"REVIEW": out, "FILE": out}


def show_features(algorithm: Algorithm, folder: Path, context: Any) -> dict[str, str]:
    """Have the polygons opened: one map, or one layer for each picture without a place."""
    together = folder / "features.gpkg"
    paths = [together] if together.exists() else sorted(folder.glob("*.gpkg"))
    for path in paths:
        algorithm.show(path, "Landscribe" if path == together else path.stem, "FEATURES", context)
    return {"FEATURES": str(paths[0])} if paths else {}


def call(command: list[str], feedback: Any) -> None:
    """Run a command with its progress shown; end it when the user cancels; raise its last line when it fails."""
    feedback.pushCommandInfo(subprocess.list2cmdline(command))
    env = {name: value for name, value in os.environ.items() if name not in OF_QGIS}
    env["PYTHONUNBUFFERED"] = "1"
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # of Windows
    try:
        process = subprocess.Popen(  # noqa: S603
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace", creationflags=group,
            start_new_session=not group,
        )  # fmt: skip
    except OSError as error:
        raise QgsProcessingException(f"{command[0]}: {error.strerror}; run `landscribe qgis` again.") from error
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        with process.stdout:  # type: ignore[union-attr]
            for line in process.stdout:  # type: ignore[union-attr]
                lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    errors: list[str] = []
    asked = False
    while True:
        if feedback.isCanceled() and not asked:
            asked = True
            process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
            feedback.pushInfo("asked to stop; what was finished is kept")
        try:
            line = lines.get(timeout=LEAVE_S if asked else 0.2)
        except queue.Empty:
            if asked:
                process.kill()
                break
            continue
        if line is None:
            break
        step = STEP.match(line)
        if step:
            feedback.setProgressText(line)
            feedback.setProgress(100 * int(step[2]) / max(1, int(step[3])))
        elif line.startswith("error:"):
            errors.append(line)
        elif line:
            feedback.pushInfo(line)
    code = process.wait()
    if asked:
        raise QgsProcessingException("cancelled")
    if code == PARTLY:
        for line in errors or ["some scenes failed"]:
            feedback.reportError(line, False)
    elif code:
        raise QgsProcessingException("\n".join(errors) or f"landscribe ended with exit code {code}")
