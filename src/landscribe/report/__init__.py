"""One self-contained HTML page about a run: pictures, scores, curves, tables. Nothing in it asks the network."""

from landscribe.report.data import ClassLayer, ReportData, SceneView
from landscribe.report.page import render_report

__all__ = ["ClassLayer", "ReportData", "SceneView", "render_report"]
