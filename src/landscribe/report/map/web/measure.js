"use strict";
// Lengths and areas, in frame units, which are metres on the ground or pixels.
LS.measure = {
  start() {
    this.source = new ol.source.Vector();
    this.layer = new ol.layer.Vector({ source: this.source, zIndex: 950, className: "ls-layer ls-measure", style: (f) => this.style(f) });
    LS.map.addLayer(this.layer);
    LS.on("frame", () => this.stop());
  },
  style(feature) {
    const geometry = feature.getGeometry();
    if (geometry.getType() === "Point") return new ol.style.Style({ image: new ol.style.Circle({ radius: 4, fill: new ol.style.Fill({ color: "#ffe14d" }), stroke: new ol.style.Stroke({ color: "#000", width: 1 }) }) });
    const line = geometry.getType() === "LineString";
    const words = this.words(geometry);
    const text = words && new ol.style.Text({
      text: words, font: "600 13px system-ui, sans-serif", overflow: true, fill: new ol.style.Fill({ color: "#111" }),
      backgroundFill: new ol.style.Fill({ color: "#ffe14d" }), padding: [3, 6, 2, 6], offsetY: line ? -14 : 0, placement: "point",
    });
    return [
      new ol.style.Style({ stroke: new ol.style.Stroke({ color: [0, 0, 0, 0.7], width: 4.5 }) }),
      new ol.style.Style({ stroke: new ol.style.Stroke({ color: "#ffe14d", width: 2.2 }), fill: line ? undefined : new ol.style.Fill({ color: [255, 225, 77, 0.18] }) }),
      new ol.style.Style({ geometry: line ? new ol.geom.Point(geometry.getLastCoordinate()) : undefined, text: text || undefined }),
    ];
  },
  words(geometry) {
    const unit = LS.frame().unit;
    if (geometry.getType() === "LineString") return LS.length(geometry.getLength(), unit);
    const area = geometry.getArea();
    return area ? LS.areaText(area, unit) : "";
  },
  begin(what) {
    const same = this.what === what;
    this.stop();
    if (same) return;
    this.what = what;
    LS.busy = "measure";
    LS.card.hide();
    this.draw = new ol.interaction.Draw({ source: this.source, type: what === "length" ? "LineString" : "Polygon", style: (f) => this.style(f) });
    this.draw.on("drawstart", () => this.source.clear());
    this.draw.on("drawend", (event) => LS.say(this.words(event.feature.getGeometry())));
    LS.map.addInteraction(this.draw);
    LS.note(what === "length" ? "Click along a line, double click ends it. Esc stops measuring." : "Click around an area, double click ends it. Esc stops measuring.");
    LS.emit("tools");
  },
  stop() {
    if (!this.what) return false;
    LS.map.removeInteraction(this.draw);
    this.source.clear();
    this.what = null;
    LS.busy = null;
    LS.note("");
    LS.emit("tools");
    return true;
  },
};
