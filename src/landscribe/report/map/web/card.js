"use strict";
// What is known of the polygon that was clicked. LS.card.more holds functions feature -> element or null, for other files.
LS.card = {
  more: [], hits: [], at: 0,
  start() {
    LS.map.on("singleclick", (event) => {
      if (LS.busy) return;
      const hits = LS.vector.at(event.coordinate);
      if (hits.length) this.show(hits);
      else this.hide();
    });
    for (const name of ["frame"]) LS.on(name, () => this.hide());
  },
  get feature() { return this.hits[this.at] || null; },
  show(hits, at = 0) {
    this.hits = hits;
    this.at = at;
    const feature = hits[at], kind = LS.kindOf(feature.get("kind"));
    const one = LS.classOf.get(feature.get("class")), scene = feature.get("scene");
    const unit = LS.manifest.frames[scene.frame].unit;
    const dot = LS.el("span", { class: "swatch", "aria-hidden": "true" });
    dot.style.background = one?.colour || "transparent";
    const facts = [["area", LS.areaText(feature.get("area"), unit)]];
    if (feature.get("iou") >= 0) facts.push([kind.key === "truth" ? "IoU with the prediction" : "IoU with the truth", LS.share(feature.get("iou"))]);
    if (feature.get("score") >= 0) facts.push(["mean probability", LS.share(feature.get("score"))]);
    if (LS.manifest.runs.length > 1) facts.push(["run", LS.swipe.nameOf(LS.runOf(scene))]);
    facts.push(["scene", scene.id]);
    const card = LS.byId("card");
    card.replaceChildren(
      LS.el("div", { class: "card-head" }, LS.el("strong", {}, dot, one?.name || "?"), LS.el("span", { class: "soft" }, kind.text.toLowerCase()),
        hits.length > 1 ? LS.el("button", { type: "button", class: "plain", id: "card-next", onclick: () => this.next() }, `${at + 1} of ${hits.length}`) : null,
        LS.button("close", "close", () => this.hide(), "Esc")),
      LS.el("dl", {}, facts.map(([name, value]) => [LS.el("dt", {}, name), LS.el("dd", {}, value)])),
      ...this.more.map((make) => make(feature)).filter(Boolean),
    );
    card.hidden = false;
    LS.mark.getSource().clear();
    LS.mark.getSource().addFeature(new ol.Feature(feature.getGeometry()));
    LS.say(`${one?.name}, ${kind.text}, ${facts.map((pair) => pair.join(" ")).join(", ")}`);
    LS.emit("select", feature);
  },
  next() { if (this.hits.length > 1) this.show(this.hits, (this.at + 1) % this.hits.length); },
  hide() {
    this.hits = [];
    LS.byId("card").hidden = true;
    LS.mark?.getSource().clear();
    LS.emit("select", null);
  },
};
