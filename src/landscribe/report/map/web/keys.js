"use strict";
// Keys, and the panel that names them. LS.keys.add() lets another file have its own.
LS.keys = {
  all: [],
  add(key, text, act, group = "Map") { this.all.push({ key, text, act, group }); },
  start() {
    for (const kind of LS.kinds) if (LS.has(kind.key) && kind.key !== "probability") this.add(kind.key1, `${kind.text} on or off`, () => LS.view.set(kind.key, !LS.state.on[kind.key]), "Layers");
    const add = this.add.bind(this);
    if (LS.has("probability")) {
      add("b", "Probability on or off", () => LS.view.set("probability", !LS.state.on.probability), "Layers");
      add("B", "Probability of the next class", () => LS.panel.choose((LS.state.probability + 1) % LS.classes.length), "Layers");
    }
    add("v", "Next band combination", () => LS.picture.next(), "Layers");
    add("o", "Prediction less opaque", () => this.opacity(-0.2), "Layers");
    add("O", "Prediction more opaque", () => this.opacity(0.2), "Layers");
    add("s", "Swipe", () => LS.swipe.toggle(), "Layers");
    add("j", "Next of the list", () => LS.list.step(1), "Places");
    add("k", "Previous of the list", () => LS.list.step(-1), "Places");
    add("l", "Another list", () => this.nextList(), "Places");
    add("]", "Next scene", () => this.scene(1), "Places");
    add("[", "Previous scene", () => this.scene(-1), "Places");
    add("n", "Next polygon under the click", () => LS.card.next(), "Places");
    add("+", "Closer", () => LS.view.zoom(1));
    add("-", "Further", () => LS.view.zoom(-1));
    add("0", "Whole scene", () => LS.view.fit(LS.here().extent));
    add("w", "All scenes of this frame", () => LS.view.fit(LS.view.whole()));
    for (const [key, text, x, y] of [["ArrowLeft", "Left", -1, 0], ["ArrowRight", "Right", 1, 0], ["ArrowUp", "Up", 0, 1], ["ArrowDown", "Down", 0, -1]]) add(key, text, () => LS.view.pan(x, y));
    add("m", "Measure a length", () => LS.measure.begin("length"));
    add("a", "Measure an area", () => LS.measure.begin("area"));
    add("h", "Panel on or off", () => LS.shell.bare());
    add("d", "Dark or light", () => LS.shell.theme());
    add("?", "This help", () => LS.shell.help());
    add("Escape", "Stop, close", () => this.escape());
    document.addEventListener("keydown", (event) => this.pressed(event));
  },
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || LS.byId("help").open) return;
    const field = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (field && event.key !== "Escape" && (field.type !== "checkbox" || event.key === " ") && field.matches("input[type=range], select, textarea, input[type=text], [contenteditable]")) return;
    const found = this.all.findLast((one) => one.key === event.key || (one.key === "+" && event.key === "="));
    if (!found) return;
    event.preventDefault();
    found.act(event);
  },
  opacity(by) {
    LS.state.opacity.found = Math.min(1, Math.max(0, LS.state.opacity.found + by));
    LS.view.apply();
  },
  scene(by) {
    const n = LS.manifest.scenes.length;
    LS.card.hide();
    LS.view.goScene((LS.state.scene + by + n) % n);
  },
  nextList() {
    const names = [...document.querySelectorAll("[data-list]")].map((node) => node.dataset.list);
    LS.panel.show("places");
    LS.list.show(names[(names.indexOf(LS.list.name) + 1) % names.length]);
  },
  escape() {
    if (LS.measure.stop()) return;
    if (LS.card.hits.length) LS.card.hide();
    else if (LS.state.swipe) LS.swipe.toggle();
    else LS.mark.getSource().clear();
  },
  table() {
    const names = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };
    const groups = Map.groupBy ? Map.groupBy(this.all, (one) => one.group) : this.all.reduce((map, one) => map.set(one.group, [...(map.get(one.group) || []), one]), new Map());
    return [...groups].map(([group, keys]) => LS.el("section", {}, LS.el("h3", {}, group), LS.el("dl", {}, keys.map((one) => [
      LS.el("dt", {}, LS.el("kbd", {}, names[one.key] || one.key)), LS.el("dd", {}, one.text)]))));
  },
};
