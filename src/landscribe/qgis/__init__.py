"""The plugin for QGIS: data for Landscribe, code for QGIS, which alone imports it; `landscribe qgis` installs it."""
