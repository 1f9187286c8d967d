"""Edit a review in QGIS as a person does; run by the Python that QGIS belongs to.

python3 qgis_edit.py REVIEW.gpkg   (accepts the first polygon, rejects the second, moves a vertex of the third across
its shape, splits the fourth, draws one, and marks an area as looked at)
"""

from __future__ import annotations

import os
import sys

from qgis.core import QgsApplication, QgsFeature, QgsGeometry, QgsPointXY, QgsVectorLayer

application = QgsApplication([], False)
application.initQgis()
path = sys.argv[1]
layer = QgsVectorLayer(f"{path}|layername=features", "features", "ogr")
verdict = layer.fields().indexOf("verdict")
layer.startEditing()
first, second, third, fourth = [feature.id() for feature in layer.getFeatures()][:4]
layer.changeAttributeValue(first, verdict, "accept")
layer.changeAttributeValue(second, verdict, "reject")
box = layer.getFeature(third).geometry().boundingBox()
layer.moveVertex(box.center().x() - 3 * box.width(), box.center().y() + 0.1, third, 0)
cut = layer.getFeature(fourth).geometry().boundingBox()
middle = cut.center().x()
layer.selectByIds([fourth])
code = layer.splitFeatures([QgsPointXY(middle, cut.yMinimum() - 9), QgsPointXY(middle, cut.yMaximum() + 9)], False)
extent = layer.extent()
drawn = QgsFeature(layer.fields())
drawn.setGeometry(
    QgsGeometry.fromRect(
        type(extent)(extent.xMinimum(), extent.yMinimum(), extent.xMinimum() + 8, extent.yMinimum() + 6)
    )
)
drawn.setAttribute("class_name", "road")
layer.addFeature(drawn)
saved = layer.commitChanges()
looked = QgsVectorLayer(f"{path}|layername=looked", "looked", "ogr")
looked.startEditing()
area = QgsFeature(looked.fields())
area.setGeometry(QgsGeometry.fromRect(extent))
looked.addFeature(area)
saved = looked.commitChanges() and saved
print(int(saved), int(code), layer.commitErrors(), looked.commitErrors(), flush=True)  # noqa: T201
os._exit(0)
