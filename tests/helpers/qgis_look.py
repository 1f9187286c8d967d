"""Open files in QGIS without a window and print what it sees; run by the Python that QGIS belongs to.

python3 qgis_look.py PICTURE.png FILE...   (drawn from the last to the first; a raster is drawn in its own colours)
"""

from __future__ import annotations

import json
import os
import sys

from qgis.core import QgsApplication, QgsMapRendererSequentialJob, QgsMapSettings, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor


def look(layer: QgsVectorLayer | QgsRasterLayer) -> dict[str, object]:
    """Say how QGIS would show a layer."""
    seen: dict[str, object] = {"valid": layer.isValid(), "crs": layer.crs().authid(), "name": layer.name()}
    if isinstance(layer, QgsRasterLayer):
        bands = [layer.bandName(k + 1) for k in range(layer.bandCount())]
        return seen | {"bands": bands, "size": [layer.width(), layer.height()]}
    renderer = layer.renderer()
    categories = renderer.categories() if renderer and renderer.type() == "categorizedSymbol" else []
    colours = {c.value(): c.symbol().color().name().upper() for c in categories if c.value()}
    forms = {
        field.name(): layer.editorWidgetSetup(k).config().get("map")
        for k, field in enumerate(layer.fields())
        if layer.editorWidgetSetup(k).type() == "ValueMap"
    }
    return seen | {"count": layer.featureCount(), "colours": colours, "forms": forms}


def main() -> None:
    """Open, draw, tell."""
    application = QgsApplication([], False)
    application.initQgis()
    picture, *paths = sys.argv[1:]
    layers = [
        QgsRasterLayer(path, path) if path.endswith((".tif", ".png")) else QgsVectorLayer(path, path, "ogr")
        for path in paths
    ]
    print(json.dumps({path: look(layer) for path, layer in zip(paths, layers, strict=True)}), flush=True)  # noqa: T201
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(layers[0].crs())
    settings.setBackgroundColor(QColor("white"))
    settings.setOutputSize(QSize(900, 900))
    settings.setExtent(settings.fullExtent())
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(picture)
    os._exit(0)  # what QGIS tears down in another order than Python ends in a wrong address


if __name__ == "__main__":
    main()
