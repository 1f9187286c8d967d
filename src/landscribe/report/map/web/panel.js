"use strict";
// The panel: tabs, switches of layers and classes. LS.panel.add() gives another file a tab of its own.
LS.panel = {
  tabs: [],
  add({ id, text, build, order = 50 }) { this.tabs.push({ id, text, build, order }); },
  start() {
    this.tabs.sort((a, b) => a.order - b.order);
    const list = LS.byId("tabs"), body = LS.byId("pages");
    for (const tab of this.tabs) {
      tab.button = LS.el("button", {
        type: "button", role: "tab", id: `tab-${tab.id}`, "aria-controls": `page-${tab.id}`, onclick: () => this.show(tab.id),
        onkeydown: (event) => this.along(event, tab),
      }, tab.text);
      tab.page = LS.el("div", { role: "tabpanel", id: `page-${tab.id}`, class: "page", "aria-labelledby": `tab-${tab.id}` }, tab.build());
      list.append(tab.button);
      body.append(tab.page);
    }
    this.show(this.tabs[0].id);
  },
  show(id) {
    for (const tab of this.tabs) {
      const on = tab.id === id;
      tab.page.hidden = !on;
      tab.button.setAttribute("aria-selected", String(on));
      tab.button.tabIndex = on ? 0 : -1;
    }
    this.now = id;
    LS.emit("tab", id);
  },
  along(event, tab) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = this.tabs[(this.tabs.indexOf(tab) + step + this.tabs.length) % this.tabs.length];
    this.show(next.id);
    next.button.focus();
    event.preventDefault();
    event.stopPropagation();
  },

  layers() {
    const rows = LS.kinds.filter((kind) => LS.has(kind.key)).map((kind) => this.row(kind));
    return [LS.el("div", { class: "rows", role: "group", "aria-label": "layers" }, rows), this.classRows()];
  },
  row(kind) {
    const swatch = LS.el("span", { class: `swatch ${kind.key}`, "aria-hidden": "true" });
    const box = LS.el("input", { type: "checkbox", checked: LS.state.on[kind.key], "data-layer": kind.key, onchange: (event) => LS.view.set(kind.key, event.target.checked) });
    const slider = LS.el("input", {
      type: "range", min: 0, max: 100, value: 100 * LS.state.opacity[kind.key], "aria-label": `opacity of ${kind.text.toLowerCase()}`, "data-opacity": kind.key,
      oninput: (event) => { LS.state.opacity[kind.key] = event.target.value / 100; LS.view.apply(); },
    });
    const sides = LS.el("select", {
      class: "side", "aria-label": `side of ${kind.text.toLowerCase()}`, "data-side": kind.key,
      onchange: (event) => { LS.state.side[kind.key] = event.target.value; LS.view.apply(); },
    }, [["both", "both"], ["left", "left"], ["right", "right"]].map(([value, text]) => LS.el("option", { value, selected: LS.state.side[kind.key] === value }, text)));
    const more = kind.key === "picture" ? LS.picture.controls() : kind.key === "probability" && LS.classes.length > 1 ? this.probability() : null;
    const row = LS.el("div", { class: "layer" }, LS.el("label", { title: kind.hint }, box, swatch, kind.text), LS.el("kbd", {}, kind.key1), sides, slider,
      more ? LS.el("details", { class: "more" }, LS.el("summary", {}, kind.key === "picture" ? "bands and stretch" : "class"), more) : null);
    LS.on("layers", () => {
      box.checked = LS.state.on[kind.key];
      row.classList.toggle("off", !LS.state.on[kind.key]);
      row.classList.toggle("sided", LS.state.swipe && LS.manifest.runs.length < 2);
      sides.hidden = !LS.state.swipe || LS.manifest.runs.length > 1;
      sides.value = LS.state.side[kind.key];
      if (document.activeElement !== slider) slider.value = 100 * LS.state.opacity[kind.key];
    });
    return row;
  },
  probability() {
    const select = LS.el("select", { "aria-label": "class of the probability", id: "probability-class", onchange: (event) => this.choose(Number(event.target.value)) },
      LS.classes.map((one, k) => LS.el("option", { value: k }, one.name)));
    LS.on("layers", () => { select.value = LS.state.probability; });
    return select;
  },
  choose(k) {
    LS.state.probability = k;
    LS.state.on.probability = true;
    LS.raster.restyle();
    LS.view.apply();
    LS.say(`probability of ${LS.classes[k].name}`);
  },
  classRows() {
    const boxes = LS.classes.map((one) => {
      const dot = LS.el("span", { class: "swatch", "aria-hidden": "true" });
      dot.style.background = one.colour;
      const box = LS.el("input", { type: "checkbox", checked: true, "data-class": one.id, onchange: (event) => {
        LS.state.hidden[event.target.checked ? "delete" : "add"](one.id);
        LS.vector.restyle();
        LS.card.hide();
      } });
      return LS.el("label", { class: "class" }, box, dot, one.name);
    });
    return LS.classes.length > 1 ? LS.el("section", { "aria-label": "classes" }, LS.el("h2", {}, "Classes"), LS.el("div", { class: "classes" }, boxes)) : null;
  },
  about() {
    const { about, title, written, report } = LS.manifest;
    return [
      LS.el("h2", {}, title), LS.el("p", { class: "soft" }, written),
      report ? LS.el("p", {}, LS.el("a", { href: report }, "Report of this run")) : null,
      ...(LS.manifest.runs || []).filter((run) => run.report).map((run) =>
        LS.el("p", {}, LS.el("a", { href: run.report, target: "_blank", rel: "noopener" }, `Report of ${run.name}`))),
      LS.el("h2", {}, "What is shown"), LS.el("ul", { class: "lines" }, (about || []).map((line) => LS.el("li", {}, line))),
      LS.el("p", { class: "soft" }, LS.manifest.server ? "Served by Landscribe on this machine." : "This page is one file and loads nothing from anywhere. Map drawn with OpenLayers (BSD-2)."),
    ];
  },
};
LS.panel.add({ id: "layers", text: "Layers", order: 10, build: () => LS.panel.layers() });
LS.panel.add({ id: "about", text: "About", order: 90, build: () => LS.panel.about() });
