"use strict";
// The map: one frame at a time, the layers of each run in it, and where to look.
LS.scenesOf = (frame, run) => LS.manifest.scenes.filter((s) => s.frame === frame && (run === undefined || LS.runOf(s) === run));
LS.runOf = (scene) => Math.max(0, LS.manifest.runs.findIndex((run) => run.key === scene.run));
LS.here = () => LS.manifest.scenes[LS.state.scene] || LS.scenesOf(LS.state.frame)[0];
LS.frame = () => LS.manifest.frames[LS.state.frame];
LS.has = (kind) => LS.manifest.scenes.some((scene) => scene.layers.includes(kind));

LS.view = {
  start() {
    LS.map = new ol.Map({
      target: "map", controls: [], layers: [], moveTolerance: 3,
      interactions: ol.interaction.defaults.defaults({ altShiftDragRotate: false, pinchRotate: false, keyboard: false }),
    });
    let z = 0;
    LS.runLayers = LS.manifest.runs.map((_, run) => LS.kinds.map((kind) => {
      z += 1;
      return [kind.key, (kind.raster ? LS.raster : LS.vector).make(kind.key, run, z)];
    }));
    for (const [, layer] of LS.runLayers.flat()) LS.map.addLayer(layer);
    LS.mark = new ol.layer.Vector({ source: new ol.source.Vector(), zIndex: 900, className: "ls-layer ls-mark", style: this.markStyle });
    LS.map.addLayer(LS.mark);
    LS.map.on("moveend", () => { LS.vector.load(); LS.emit("moved"); });
    LS.map.on("pointermove", (event) => { if (!event.dragging) LS.emit("pointer", event.coordinate); });
    LS.map.getViewport().addEventListener("pointerleave", () => LS.emit("pointer", null));
    this.apply();
  },
  markStyle: () => [
    new ol.style.Style({ stroke: new ol.style.Stroke({ color: [0, 0, 0, 0.75], width: 6 }) }),
    new ol.style.Style({ stroke: new ol.style.Stroke({ color: "#ffe14d", width: 3 }), fill: new ol.style.Fill({ color: [255, 225, 77, 0.12] }) }),
  ],

  // What is on, how strong, and on which side of the swipe.
  apply() {
    const several = LS.manifest.runs.length > 1;
    LS.runLayers.forEach((layers, run) => {
      for (const [kind, layer] of layers) {
        layer.setVisible(LS.state.on[kind] && (!several || (LS.state.swipe ? LS.swipe.sides().includes(run) : run === LS.state.run)));
        if (!LS.kindOf(kind).raster) layer.setOpacity(LS.state.opacity[kind]);
      }
    });
    const root = LS.byId("map");
    root.classList.toggle("swiping", LS.state.swipe);
    root.classList.toggle("several", several);
    for (const [kind, side] of Object.entries(LS.state.side)) root.setAttribute(`data-${kind}`, several ? "run" : side);
    LS.map.render();
    if (LS.state.frame >= 0) LS.vector.load();
    LS.emit("layers");
  },
  set(kind, on) {
    LS.state.on[kind] = on;
    this.apply();
    LS.say(`${LS.kindOf(kind).text} ${on ? "on" : "off"}`);
  },

  // A frame is another piece of ground with coordinates of its own.
  enter(frame) {
    if (frame === LS.state.frame) return;
    LS.state.frame = frame;
    LS.vector.clear();
    LS.mark.getSource().clear();
    const extent = this.whole();
    const projection = new ol.proj.Projection({ code: `frame-${frame}`, units: "m", metersPerUnit: 1, extent });
    const size = Math.max(ol.extent.getWidth(extent), ol.extent.getHeight(extent));
    const pixel = Math.min(...LS.scenesOf(frame).map((s) => (s.extent[2] - s.extent[0]) / s.size[0]));
    LS.map.setView(new ol.View({
      projection, center: ol.extent.getCenter(extent), resolution: size / 600, minResolution: pixel / 24,
      maxResolution: size / 80, showFullExtent: true, enableRotation: false,
      extent: ol.extent.buffer(extent, size), smoothExtentConstraint: true,
    }));
    LS.emit("frame");
  },
  whole() {
    return LS.scenesOf(LS.state.frame).reduce((all, s) => ol.extent.extend(all, s.extent), ol.extent.createEmpty());
  },
  // The part of the map that nothing lies on.
  padding() {
    const panel = LS.byId("panel").getBoundingClientRect(), map = LS.byId("map").getBoundingClientRect();
    const phone = panel.width > map.width * 0.8;
    const edge = Math.min(40, map.width / 12);
    if (document.body.classList.contains("bare")) return [edge, edge, edge, edge];
    return phone ? [edge, edge, Math.min(map.height * 0.6, Math.max(0, map.bottom - panel.top) + 24), edge] : [edge, 70, edge + 20, panel.right + edge];
  },
  fit(extent, { instant = false, room = 0 } = {}) {
    const still = instant || matchMedia("(prefers-reduced-motion: reduce)").matches;
    const grown = ol.extent.buffer(extent, room);
    LS.map.getView().fit(grown, { padding: this.padding(), duration: still ? 0 : 350, minResolution: LS.map.getView().getMinResolution() * 3 });
  },
  goScene(at, options) {
    const scene = LS.manifest.scenes[at];
    this.enter(scene.frame);
    LS.state.scene = at;
    LS.state.run = LS.runOf(scene);
    LS.emit("scene", scene);
    this.apply();
    this.fit(scene.extent, options);
  },
  // A row of a list: a box in a scene, perhaps with the polygon that is meant.
  async goRow(row, options) {
    const at = row.scene;
    const scene = LS.manifest.scenes[at];
    const changed = LS.state.scene !== at;
    this.enter(scene.frame);
    LS.state.scene = at;
    LS.state.run = LS.runOf(scene);
    if (changed) LS.emit("scene", scene);
    if (row.kind && !LS.state.on[row.kind]) LS.state.on[row.kind] = true;
    this.apply();
    const size = Math.max(row.bbox[2] - row.bbox[0], row.bbox[3] - row.bbox[1]);
    this.fit(row.bbox, { room: size * 1.2, ...options });
    await LS.vector.load();
    const layer = LS.vector.layers[`${row.kind}@${LS.state.run}`];
    const feature = layer?.getSource().getFeatures().find((f) => f.get("pid") === row.id && f.get("scene") === scene);
    if (feature) LS.card.show([feature]);
    else this.box(row.bbox);
  },
  box(bbox) {
    LS.card.hide();
    LS.mark.getSource().clear();
    LS.mark.getSource().addFeature(new ol.Feature(ol.geom.Polygon.fromExtent ? ol.geom.Polygon.fromExtent(bbox) : new ol.geom.Polygon([[
      [bbox[0], bbox[1]], [bbox[2], bbox[1]], [bbox[2], bbox[3]], [bbox[0], bbox[3]], [bbox[0], bbox[1]]]])));
  },
  pan(dx, dy) {
    const view = LS.map.getView(), step = view.getResolution() * 120, [x, y] = view.getCenter();
    view.animate({ center: [x + dx * step, y + dy * step], duration: 120 });
  },
  zoom(by) { LS.map.getView().animate({ zoom: LS.map.getView().getZoom() + by, duration: 150 }); },
};
