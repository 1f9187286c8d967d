"use strict";
// Lists that lead somewhere: scenes, the worst and the least certain polygons, what somebody should label next.
LS.list = {
  name: "scenes", at: {},
  kinds: {
    scenes: { text: "Scenes", rows: () => LS.manifest.scenes.map((scene, at) => ({ scene: at, whole: true })) },
    worst: { text: "Worst", rows: () => LS.manifest.worst, why: "Most ground invented or missed, in scenes that were held out where there are any." },
    least: { text: "Least sure", rows: () => LS.manifest.least_certain, why: "Lowest mean probability, without polygons smaller than half of their class." },
    suggested: { text: "Suggested", rows: () => LS.manifest.suggested, why: "Windows to label next: in doubt, in dispute, or unlike the training ground. 1 is a window like most." },
  },
  build() {
    this.body = LS.el("div", { id: "list", role: "list" });
    this.picker = LS.el("div", { class: "chips", role: "group", "aria-label": "lists" });
    this.why = LS.el("p", { class: "soft" });
    this.show("scenes");
    LS.on("scene", () => this.mark());
    return [this.picker, this.why, this.body];
  },
  show(name) {
    this.name = name;
    const known = Object.entries(this.kinds).filter(([key, kind]) => key === "scenes" || kind.rows()?.length);
    this.picker.replaceChildren(...known.map(([key, kind]) => LS.el("button", {
      type: "button", "aria-pressed": String(key === name), "data-list": key, onclick: () => this.show(key),
    }, kind.text)));
    this.why.textContent = this.kinds[name].why || "";
    this.why.hidden = !this.kinds[name].why;
    this.body.replaceChildren(...this.kinds[name].rows().map((row, k) => this.item(row, k)));
    this.mark();
  },
  item(row, k) {
    const scene = LS.manifest.scenes[row.scene];
    const open = () => this.go(k);
    if (row.whole) {
      const score = scene.jaccard === null || scene.jaccard === undefined ? "" : scene.jaccard.toFixed(2);
      const side = { validate: "held out", train: "trained on" }[scene.split] || "no labels";
      const found = scene.counts?.found === undefined ? "" : `, ${LS.plural(scene.counts.found, "polygon")}`;
      return LS.el("div", { role: "listitem" }, LS.el("button", { type: "button", class: "item", onclick: open },
        LS.el("span", { class: "name" }, scene.id), LS.el("span", { class: "value" }, score), LS.el("span", { class: "soft" }, (LS.manifest.runs.length > 1 ? `${LS.manifest.runs[LS.runOf(scene)].name}, ` : "") + side + found)));
    }
    const one = LS.classOf.get(row.class);
    const dot = one ? LS.el("span", { class: "swatch", "aria-hidden": "true" }) : "";
    if (one) dot.style.background = one.colour;
    const unit = LS.manifest.frames[scene.frame].unit;
    const value = row.why === "unsure" ? LS.share(row.score) : row.area !== undefined ? LS.areaText(row.area, unit) : LS.short(row.score ?? 0);
    return LS.el("div", { role: "listitem" }, LS.el("button", { type: "button", class: "item", onclick: open },
      LS.el("span", { class: "name" }, dot, one?.name || row.text || "anything"), LS.el("span", { class: "value" }, value),
      LS.el("span", { class: "soft" }, `${row.why ? `${row.why}, ` : ""}${scene.id}`)));
  },
  rows() { return this.kinds[this.name].rows(); },
  go(k) {
    const row = this.rows()[k];
    if (!row) return;
    this.at[this.name] = k;
    if (row.whole) { LS.card.hide(); LS.view.goScene(row.scene); } else LS.view.goRow(row);
    this.mark();
    LS.say(this.body.children[k]?.textContent || "");
  },
  step(by) {
    const n = this.rows().length, now = this.at[this.name];
    if (n) this.go(now === undefined ? (by > 0 ? 0 : n - 1) : (now + by + n) % n);
  },
  mark() {
    if (this.name === "scenes" && LS.state.scene >= 0) this.at.scenes = LS.state.scene;
    [...this.body.children].forEach((node, k) => {
      const on = k === this.at[this.name];
      node.firstChild.setAttribute("aria-current", String(on));
      if (on) node.scrollIntoView({ block: "nearest" });
    });
  },
};
LS.panel.add({ id: "places", text: "Places", order: 20, build: () => LS.list.build() });
