"use strict";
// Which bands are shown as red, green and blue, and how codes become light.
LS.picture = {
  // Scenes of the same bands share a choice.
  family: (scene) => scene.bands.map((band) => band.name).join("|"),
  bandsOf(scene) {
    const chosen = LS.state.bands[this.family(scene)];
    return chosen || scene.views[0]?.bands || [];
  },
  choose(scene, bands) {
    LS.state.bands[this.family(scene)] = bands;
    LS.raster.restyle();
    LS.emit("bands");
  },
  // The codes that are black and white as long as nobody moves the sliders: of the scene alone, or such that scenes
  // side by side show the same number as the same light.
  ends(scene, number) {
    const band = scene.bands[number];
    const family = LS.scenesOf(scene.frame).filter((one) => this.family(one) === this.family(scene));
    if (LS.state.alone || family.length < 2 || band.first === undefined) return [band.low, band.high];
    const raw = (one, code) => one.first + ((one.last - one.first) * code) / 255;
    const at = (values, share) => values.sort((a, b) => a - b)[Math.round((values.length - 1) * share)];
    const wanted = [["low", 0.25], ["high", 0.75]].map(([end, share]) => at(family.map((one) => raw(one.bands[number], one.bands[number][end])), share));
    const codes = wanted.map((value) => (255 * (value - band.first)) / (band.last - band.first || 1));
    return codes[1] > codes[0] ? codes : [band.low, band.high];
  },
  table(scene, number) {
    const { dark, bright, gamma } = LS.state.stretch;
    const [black, white] = this.ends(scene, number), span = white - black || 1;
    const low = black + (dark / 100) * span, high = white - (bright / 100) * span;
    return Uint8ClampedArray.from({ length: 256 }, (_, code) => {
      const share = Math.min(1, Math.max(0, (code - low) / Math.max(high - low, 1)));
      return 255 * share ** (1 / gamma);
    });
  },
  next() {
    const scene = LS.here();
    if (!scene || scene.views.length < 2) return;
    const now = String(this.bandsOf(scene));
    const at = scene.views.findIndex((view) => String(view.bands) === now);
    const view = scene.views[(at + 1) % scene.views.length];
    this.choose(scene, view.bands);
    LS.say(`bands: ${view.name}`);
  },

  controls() {
    const box = LS.el("div", { class: "bands" });
    const fill = () => {
      const scene = LS.here();
      box.replaceChildren();
      if (!scene) return;
      if (scene.bands.length > 1) box.append(...this.pickers(scene));
      box.append(this.sliders());
    };
    for (const name of ["scene", "bands", "ready"]) LS.on(name, fill);
    return box;
  },
  pickers(scene) {
    const now = this.bandsOf(scene);
    const views = LS.el("div", { class: "chips", role: "group", "aria-label": "band combinations" }, scene.views.map((view) => LS.el("button", {
      type: "button", "aria-pressed": String(String(view.bands) === String(now)), onclick: () => this.choose(scene, view.bands),
    }, view.name)));
    const three = LS.el("div", { class: "three" }, ["red", "green", "blue"].map((light, k) => LS.el("label", { class: light },
      LS.el("span", {}, light), LS.el("select", {
        onchange: (event) => this.choose(scene, now.map((band, i) => (i === k ? Number(event.target.value) : band))),
      }, scene.bands.map((band, i) => LS.el("option", { value: i, selected: i === now[k] }, band.name))))));
    return scene.bands.length > 3 || scene.views.length > 1 ? [views, three] : [];
  },
  sliders() {
    const rows = [["dark", "shadows", -50, 90], ["bright", "highlights", -50, 90], ["gamma", "gamma", 0.4, 2.5]];
    const state = LS.state.stretch;
    const several = LS.scenesOf(LS.state.frame).length > 1;
    const alone = several ? LS.el("label", { class: "check" }, LS.el("input", { type: "checkbox", checked: Boolean(LS.state.alone), onchange: (event) => {
      LS.state.alone = event.target.checked;
      LS.raster.restyle();
    } }), "each scene by itself") : null;
    return LS.el("div", { class: "sliders" }, rows.map(([key, text, min, max]) => LS.el("label", {}, LS.el("span", {}, text), LS.el("input", {
      type: "range", min, max, step: key === "gamma" ? 0.05 : 1, value: state[key], "data-stretch": key,
      oninput: (event) => { state[key] = Number(event.target.value); LS.raster.restyle(); },
    }))), alone, LS.el("button", { type: "button", class: "plain", onclick: () => {
      Object.assign(state, { dark: 0, bright: 0, gamma: 1 });
      LS.raster.restyle();
      LS.emit("bands");
    } }, "as it was"));
  },
};
