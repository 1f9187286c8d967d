"use strict";
// Drawing: what the pointer does to polygons. Each end of a gesture is a change of LS.edit.
Object.assign(LS.edit, {
  format: new ol.format.GeoJSON(), mode: null, drawClass: LS.classes[0]?.name || "",

  start() {
    const style = (feature) => this.styleOf(feature);
    this.layer = new ol.layer.Vector({ source: new ol.source.Vector(), zIndex: 800, className: "ls-layer ls-review", style });
    this.pen = new ol.layer.Vector({ source: new ol.source.Vector(), zIndex: 960, className: "ls-layer ls-pen", style: this.penStyle() });
    LS.map.addLayer(this.layer);
    LS.map.addLayer(this.pen);
    const plain = LS.vector.style.bind(LS.vector), hits = LS.vector.at.bind(LS.vector);
    // A found polygon of which something is said is drawn by this layer.
    LS.vector.style = (kind, feature) => (kind === "found" && this.rowOf(feature) ? null : plain(kind, feature));
    LS.vector.at = (coordinate) => {
      const own = this.layer.getSource().getFeaturesAtCoordinate(coordinate).filter((f) => f.get("kind") === "found");
      const rest = hits(coordinate).filter((f) => !(f.get("kind") === "found" && this.rowOf(f)));
      // What can be reviewed comes before what can only be looked at.
      const other = (f) => Number(f.get("kind") !== "found");
      return [...own, ...rest].sort((a, b) => other(a) - other(b) || a.get("area") - b.get("area"));
    };
    LS.on("review", (scene) => this.paint(scene));
    LS.on("frame", () => { this.stop(); this.layer.getSource().clear(); this.painted.clear(); });
    LS.on("scene", (scene) => this.show(scene));
    LS.on("moved", () => { for (const scene of this.inView()) this.show(scene); });
    LS.map.on("singleclick", (event) => { if (this.mode === "merge") this.mergeAt(event.coordinate); });
  },
  inView() {
    if (LS.state.frame < 0) return [];
    const extent = LS.map.getView().calculateExtent();
    return LS.scenesOf(LS.state.frame, LS.state.run).filter((scene) => ol.extent.intersects(scene.extent, extent)).slice(0, 8);
  },
  painted: new Set(),
  show(scene) {
    if (!scene) return;
    if (!this.book(scene).asked) { this.book(scene).asked = true; this.pull(scene); }
    if (!this.painted.has(this.at(scene))) this.paint(scene);
  },
  paint(scene) {
    if (scene.frame !== LS.state.frame) return;
    const source = this.layer.getSource();
    for (const feature of source.getFeatures()) if (feature.get("scene") === scene) source.removeFeature(feature);
    const rows = [...this.book(scene).rows.values()].filter((row) => row.shape && row.verdict !== "replaced");
    source.addFeatures(rows.map((row) => this.featureOf(row, scene)));
    this.painted.add(this.at(scene));
    LS.vector.restyle();
  },
  featureOf(row, scene) {
    const geometry = this.format.readGeometry(row.shape);
    const feature = new ol.Feature({ geometry });
    const one = LS.classes.find((c) => c.name === row.class_name);
    feature.setProperties({ scene, kind: row.kind === "looked" ? "looked" : "found", class: one?.id, score: -1, iou: -1, area: geometry.getArea(), pid: row.id, row }, true);
    return feature;
  },
  rowOf(feature) { return this.row(feature.get("scene"), feature.get("pid")); },

  styleOf(feature) {
    const row = feature.get("row");
    if (LS.state.hidden.has(feature.get("class"))) return null;
    const stroke = (color, width, lineDash) => new ol.style.Stroke({ color, width, lineDash });
    if (row.kind === "looked") return [new ol.style.Style({ stroke: stroke([20, 10, 40, 0.5], 4) }), new ol.style.Style({ stroke: stroke("#c9a6ff", 2, [10, 6]), fill: new ol.style.Fill({ color: [160, 110, 255, 0.07] }) })];
    if (row.verdict === "reject") return [new ol.style.Style({ stroke: stroke([0, 0, 0, 0.45], 3.4) }), new ol.style.Style({ stroke: stroke("#ff5b45", 1.8, [3, 5]), fill: new ol.style.Fill({ color: [255, 60, 40, 0.1] }) })];
    const line = LS.lively(LS.classOf.get(feature.get("class"))?.colour || "#999999");
    return [new ol.style.Style({ stroke: stroke([0, 0, 0, 0.55], 4.6) }), new ol.style.Style({ stroke: stroke("#ffffff", 3) }), new ol.style.Style({ stroke: stroke([...line, 1], 1.8), fill: new ol.style.Fill({ color: [...line, 0.3] }) })];
  },
  penStyle() {
    const dot = new ol.style.Circle({ radius: 5.5, fill: new ol.style.Fill({ color: "#ffe14d" }), stroke: new ol.style.Stroke({ color: "#222", width: 1.4 }) });
    return [
      new ol.style.Style({ stroke: new ol.style.Stroke({ color: [0, 0, 0, 0.7], width: 4.4 }), fill: new ol.style.Fill({ color: [255, 225, 77, 0.16] }) }),
      new ol.style.Style({ stroke: new ol.style.Stroke({ color: "#ffe14d", width: 2.2 }), image: dot }),
      new ol.style.Style({ image: dot, geometry: (feature) => {
        const own = feature.getGeometry(), type = own.getType();
        const points = type === "Polygon" ? own.getCoordinates().flat() : type === "MultiPolygon" ? own.getCoordinates().flat(2) : [];
        return new ol.geom.MultiPoint(points.length > 400 ? [] : points);
      } }),
    ];
  },

  // The polygon that the card shows, as a row: as it was found, or what is said of it already.
  chosen() {
    const feature = LS.card.feature;
    if (!feature || feature.get("kind") !== "found") {
      LS.note("Choose a found polygon first: click it.");
      return null;
    }
    const scene = feature.get("scene"), id = feature.get("pid");
    const known = this.row(scene, id);
    const row = known || { id, kind: "feature", class_name: LS.classOf.get(feature.get("class"))?.name, verdict: "", source: "model", note: "", box: feature.getGeometry().getExtent(), shape: this.format.writeGeometryObject(feature.getGeometry()) };
    return { feature, scene, id, row: { ...row, box: row.box || feature.getGeometry().getExtent() } };
  },
  say(verdict, words) {
    const one = this.chosen();
    if (!one) return;
    if (this.change(one.scene, [{ id: one.id, row: { ...one.row, verdict } }], words)) this.showAgain(one.scene, one.id);
  },
  accept() { this.say("accept", "accepted"); },
  reject() { this.say("reject", "rejected"); },
  classTo(name) {
    const one = this.chosen();
    if (!one || one.row.class_name === name) return;
    const row = { ...one.row, class_name: name, verdict: "accept", source: one.row.source === "drawn" ? "drawn" : "edited" };
    if (this.change(one.scene, [{ id: one.id, row }], `now ${name}`)) this.showAgain(one.scene, one.id);
  },
  nextClass() {
    const one = this.chosen();
    if (one) this.classTo(LS.classes[(LS.classes.findIndex((c) => c.name === one.row.class_name) + 1) % LS.classes.length].name);
  },
  note(text) {
    const one = this.chosen();
    if (one) this.change(one.scene, [{ id: one.id, row: { ...one.row, note: text.slice(0, 500) } }], "note kept");
  },
  remove() {
    const one = this.chosen();
    if (!one) return;
    if (one.row.source === "drawn") { if (this.change(one.scene, [{ id: one.id, row: null }], "deleted")) LS.card.hide(); }
    else this.say("reject", "rejected: what was found is never deleted, its ground becomes background");
  },
  showAgain(scene, id) {
    const feature = this.layer.getSource().getFeatures().find((f) => f.get("pid") === id && f.get("scene") === scene);
    if (feature) LS.card.show([feature]);
  },
  // The nearest polygon of which nothing is said.
  next() {
    const scene = LS.here(), from = LS.card.feature ? ol.extent.getCenter(LS.card.feature.getGeometry().getExtent()) : LS.map.getView().getCenter();
    const layer = LS.vector.layers[`found@${LS.runOf(scene)}`];
    const far = (f) => { const [x, y] = ol.extent.getCenter(f.getGeometry().getExtent()); return Math.hypot(x - from[0], y - from[1]); };
    const rest = layer.getSource().getFeatures().filter((f) => f.get("scene") === scene && !this.rowOf(f) && f !== LS.card.feature);
    if (!rest.length) { LS.card.hide(); LS.note("Nothing is left here that nobody looked at."); return; }
    const best = rest.reduce((a, b) => (far(a) <= far(b) ? a : b));
    const extent = best.getGeometry().getExtent();
    if (!ol.extent.containsExtent(LS.map.getView().calculateExtent(), extent)) LS.map.getView().animate({ center: ol.extent.getCenter(extent), duration: 200 });
    LS.card.show([best]);
  },

  newId: () => `new-${crypto.getRandomValues(new Uint32Array(3)).reduce((text, part) => text + part.toString(36), "")}`,
  sceneAt(geometry) {
    const at = ol.extent.getCenter(geometry.getExtent());
    const under = LS.scenesOf(LS.state.frame, LS.state.run).filter((scene) => ol.extent.intersects(scene.extent, geometry.getExtent()));
    return under.find((scene) => scene === LS.here()) || under.find((scene) => ol.extent.containsCoordinate(scene.extent, at)) || under[0];
  },

  begin(mode) {
    const again = this.mode === mode;
    this.stop();
    LS.measure.stop();
    if (again) return;
    if (!this.canEdit(LS.here())) { LS.note(this.book(LS.here()).readOnly || "This is for looking only."); return; }
    const target = mode === "edit" || mode === "split" || mode === "merge" ? this.chosen() : null;
    if (target === null && mode !== "draw" && mode !== "looked") return;
    this.mode = mode;
    this.target = target;
    LS.busy = "edit";
    if (mode === "draw" || mode === "looked") { LS.card.hide(); this.drawing("Polygon", (geometry) => this.drawn(mode, geometry)); }
    if (mode === "split") this.drawing("LineString", (geometry) => this.split(geometry));
    if (mode === "edit") this.modifying(target);
    LS.note({
      draw: `Click around a ${this.drawClass}, double click ends it. Esc stops.`,
      looked: "Click around the ground that you looked at wholly: what is left there is right, what is missing is not there.",
      edit: "Drag corners; click a side for a new one; Alt and click takes one away. Esc or Enter ends it.",
      split: "Click a line across the polygon, double click ends it.",
      merge: "Click the polygon to join with this one. Esc stops.",
    }[mode]);
    LS.emit("tools");
  },
  drawing(type, act) {
    // A click that close to the first or the last corner ends it; small details must not.
    const draw = new ol.interaction.Draw({ source: this.pen.getSource(), type, style: this.penStyle(), stopClick: true, snapTolerance: 5 });
    draw.on("drawend", (event) => {
      const geometry = event.feature.getGeometry();
      setTimeout(() => { this.pen.getSource().clear(); act(geometry); }, 0);
    });
    this.use(draw);
  },
  modifying({ row }) {
    const feature = new ol.Feature(this.format.readGeometry(row.shape));
    this.pen.getSource().addFeature(feature);
    LS.mark.getSource().clear();
    const modify = new ol.interaction.Modify({ source: this.pen.getSource(), style: this.penStyle(), pixelTolerance: 12, deleteCondition: (event) => ol.events.condition.altKeyOnly(event) && ol.events.condition.singleClick(event) });
    modify.on("modifyend", () => this.reshape(feature.getGeometry()));
    this.use(modify);
  },
  reshape(geometry) {
    const { scene, id } = this.target, now = this.row(scene, id) || this.target.row;
    const row = { ...now, shape: this.format.writeGeometryObject(geometry), verdict: "accept", source: now.source === "drawn" ? "drawn" : "edited" };
    this.change(scene, [{ id, row }], "corners moved");
  },
  use(interaction) {
    this.tools = [interaction];
    for (const layer of [this.layer, LS.vector.layers[`found@${LS.state.run}`]]) this.tools.push(new ol.interaction.Snap({ source: layer.getSource(), pixelTolerance: 9 }));
    for (const one of this.tools) LS.map.addInteraction(one);
  },
  stop() {
    if (!this.mode) return false;
    for (const one of this.tools || []) LS.map.removeInteraction(one);
    this.tools = [];
    this.pen.getSource().clear();
    const target = this.target;
    this.mode = null;
    this.target = null;
    LS.note("");
    // The click that ends a drawing is not one that chooses a polygon.
    setTimeout(() => { if (!this.mode && LS.busy === "edit") LS.busy = null; }, 300);
    if (target) this.showAgain(target.scene, target.id);
    LS.emit("tools");
    return true;
  },
  // Enter ends what is being drawn.
  finish() {
    if (this.mode === "edit") { this.stop(); return; }
    const draw = this.tools?.[0];
    if (draw?.finishDrawing) draw.finishDrawing();
  },

  drawn(mode, geometry) {
    const scene = this.sceneAt(geometry);
    if (!scene) { LS.note("No scene lies there."); return; }
    const id = this.newId(), looked = mode === "looked";
    const row = { id, kind: looked ? "looked" : "feature", class_name: looked ? "" : this.drawClass, verdict: looked ? "" : "accept", source: looked ? "" : "drawn", note: "", shape: this.format.writeGeometryObject(geometry) };
    this.change(scene, [{ id, row }], looked ? "marked as looked at" : `${this.drawClass} drawn`);
    if (looked) this.stop();
  },
  async reckon(scene, body) {
    const answer = await this.call(`/g/${scene.run}/${LS.served.number(scene)}`, body).catch(() => null);
    if (!answer?.ok) { LS.note(answer ? (await answer.text()).trim() : "No connection to the server: try again."); return null; }
    return (await answer.json()).shapes;
  },
  replaced(one) { return one.row.source === "drawn" ? null : { ...one.row, verdict: "replaced" }; },
  async split(line) {
    const one = this.target;
    const shapes = await this.reckon(one.scene, { shapes: [one.row.shape], line: line.getCoordinates() });
    if (!shapes) return;
    if (shapes.length < 2) { LS.note("The line does not cross the polygon from side to side."); return; }
    const source = one.row.source === "drawn" ? "drawn" : "edited";
    const parts = shapes.map((shape) => ({ id: this.newId(), kind: "feature", class_name: one.row.class_name, verdict: "accept", source, note: one.row.note || "", shape }));
    this.target = null;
    this.stop();
    LS.card.hide();
    this.change(one.scene, [{ id: one.id, row: this.replaced(one) }, ...parts.map((row) => ({ id: row.id, row }))], `split into ${parts.length}`);
  },
  async mergeAt(coordinate) {
    const first = this.target;
    const other = LS.vector.at(coordinate).find((f) => f.get("kind") === "found" && f.get("scene") === first.scene && f.get("pid") !== first.id);
    if (!other) { LS.note("No other found polygon lies there."); return; }
    LS.card.show([other]);
    const second = this.chosen();
    const shapes = await this.reckon(first.scene, { shapes: [first.row.shape, second.row.shape] });
    if (!shapes) return;
    const source = first.row.source === "drawn" && second.row.source === "drawn" ? "drawn" : "edited";
    const row = { id: this.newId(), kind: "feature", class_name: first.row.class_name, verdict: "accept", source, note: first.row.note || "", shape: shapes[0] };
    this.target = null;
    this.stop();
    this.change(first.scene, [{ id: first.id, row: this.replaced(first) }, { id: second.id, row: this.replaced(second) }, { id: row.id, row }], "joined");
    this.showAgain(first.scene, row.id);
  },
});
