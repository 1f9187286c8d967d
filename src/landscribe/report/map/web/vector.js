"use strict";
// Polygons: unpacked when a scene comes into view, styled by class, found again under a click.
LS.vector = {
  layers: {}, loaded: new Map(), styles: new Map(), many: false,

  make(kind, run, zIndex) {
    const layer = new ol.layer.Vector({
      source: new ol.source.Vector(), zIndex, className: `ls-layer ls-${kind} run-${run}`, renderBuffer: 50,
      updateWhileInteracting: false, style: (feature) => this.style(kind, feature),
    });
    layer.set("kind", kind);
    layer.set("run", run);
    this.layers[`${kind}@${run}`] = layer;
    return layer;
  },

  // What packing.py packed, as features in frame coordinates.
  unpack(packed, scene, kind) {
    const { xy, rings, parts, members, origin, step, n } = packed;
    const features = [];
    let x = 0, y = 0, at = 0, ring = 0, part = 0;
    for (let k = 0; k < n; k += 1) {
      const polygons = [];
      for (let m = 0; m < (members ? members[k] : 1); m += 1, part += 1) {
        const own = [];
        for (let r = 0; r < parts[part]; r += 1, ring += 1) {
          const points = new Array(rings[ring] + 1);
          for (let v = 0; v < rings[ring]; v += 1, at += 2) {
            x += xy[at];
            y += xy[at + 1];
            points[v] = [origin[0] + x * step, origin[1] + y * step];
          }
          points[rings[ring]] = points[0];
          own.push(points);
        }
        polygons.push(own);
      }
      const geometry = polygons.length === 1 ? new ol.geom.Polygon(polygons[0]) : new ol.geom.MultiPolygon(polygons);
      const feature = new ol.Feature({ geometry });
      feature.setProperties({
        scene, kind, class: packed.class[k], score: packed.score?.[k] ?? -1, iou: packed.iou?.[k] ?? -1,
        area: packed.area?.[k] ?? geometry.getArea(), pid: packed.id?.[k] ?? k,
      }, true);
      features.push(feature);
    }
    return features;
  },

  // Called after each move and whenever a layer is switched on.
  async load() {
    if (LS.state.frame < 0) return;
    const extent = LS.map.getView().calculateExtent();
    const work = [];
    for (const scene of LS.scenesOf(LS.state.frame)) {
      if (!ol.extent.intersects(scene.extent, extent)) continue;
      for (const kind of LS.kinds) {
        if (kind.raster || !LS.state.on[kind.key]) continue;
        const key = `${LS.manifest.scenes.indexOf(scene)}/${kind.key}`;
        const known = this.loaded.get(key);
        if (known && (LS.source.whole || ol.extent.containsExtent(known.extent, ol.extent.getIntersection(scene.extent, extent)) && !known.leftOff)) continue;
        work.push(this.fetch(key, scene, kind.key, LS.source.whole ? scene.extent : ol.extent.buffer(extent, ol.extent.getWidth(extent) / 4)));
      }
    }
    await Promise.all(work);
    if (work.length) LS.emit("polygons");
  },
  async fetch(key, scene, kind, extent) {
    const mine = { extent, leftOff: 0, features: this.loaded.get(key)?.features || [] };
    this.loaded.set(key, mine);
    const packed = await LS.source.polygons(scene, kind, extent).catch(() => null);
    if (this.loaded.get(key) !== mine) return;
    const source = this.layers[`${kind}@${LS.runOf(scene)}`].getSource();
    for (const feature of mine.features) source.removeFeature(feature);
    mine.features = packed ? this.unpack(packed, scene, kind) : [];
    mine.leftOff = packed?.left_off || 0;
    for (const feature of mine.features) feature.set("loaded", key, true);
    source.addFeatures(mine.features);
    // Lines on dark casings cost twice; where there are very many, lines must do.
    this.many = Object.values(this.layers).some((layer) => layer.getSource().getFeatures().length > 5000);
  },
  // Forget what was loaded, of one scene or of all, and fetch what is in view again.
  reload(scene) {
    for (const [key, one] of this.loaded) {
      if (scene && !key.startsWith(`${LS.manifest.scenes.indexOf(scene)}/`)) continue;
      const kind = key.split("/")[1];
      for (const layer of Object.values(this.layers)) {
        if (layer.get("kind") === kind) one.features.forEach((f) => layer.getSource().hasFeature(f) && layer.getSource().removeFeature(f));
      }
      this.loaded.delete(key);
    }
    return this.load();
  },
  clear() {
    for (const layer of Object.values(this.layers)) layer.getSource().clear(true);
    this.loaded.clear();
  },

  style(kind, feature) {
    const id = feature.get("class");
    if (LS.state.hidden.has(id)) return null;
    const key = `${kind}/${id}/${this.many}`;
    if (!this.styles.has(key)) this.styles.set(key, this.styleOf(kind, LS.classOf.get(id)?.colour || "#999999"));
    return this.styles.get(key);
  },
  styleOf(kind, colour) {
    const fill = (rgb, a) => new ol.style.Fill({ color: [...rgb, a] });
    const stroke = (color, width, lineDash) => new ol.style.Stroke({ color, width, lineDash });
    const errors = { tp: [0, 160, 106], fp: [224, 73, 47], fn: [43, 125, 224] };
    if (errors[kind]) return new ol.style.Style({ fill: fill(errors[kind], 0.85), stroke: stroke([...errors[kind], 1], 1) });
    if (kind === "truth") {
      if (this.many) return new ol.style.Style({ stroke: stroke([255, 255, 255, 1], 1.4) });
      return [new ol.style.Style({ stroke: stroke([0, 0, 0, 0.55], 3) }), new ol.style.Style({ stroke: stroke([255, 255, 255, 1], 1.6, [6, 4]) })];
    }
    const line = LS.lively(colour);
    const own = new ol.style.Style({ stroke: stroke([...line, 1], 1.8), fill: fill(line, 0.14) });
    return this.many ? own : [new ol.style.Style({ stroke: stroke([0, 0, 0, 0.4], 3.4) }), own];
  },
  restyle() {
    for (const layer of Object.values(this.layers)) layer.changed();
  },

  // All polygons under a place, the smallest first.
  at(coordinate) {
    const hits = [];
    for (const layer of Object.values(this.layers)) {
      if (!layer.getVisible()) continue;
      hits.push(...layer.getSource().getFeaturesAtCoordinate(coordinate).filter((f) => !LS.state.hidden.has(f.get("class"))));
    }
    return hits.sort((a, b) => a.get("area") - b.get("area"));
  },
};
