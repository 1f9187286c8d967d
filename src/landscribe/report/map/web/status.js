"use strict";
// Below the map: coordinates of the pointer as the map's CRS counts them, and a scale bar.
LS.status = {
  start() {
    LS.on("pointer", (at) => this.tell(at));
    LS.on("moved", () => this.bar());
    LS.on("frame", () => this.tell(null));
  },
  tell(at) {
    const frame = LS.frame();
    if (!frame) return;
    const name = frame.crs || (frame.unit === "px" ? "no CRS" : "");
    const spot = at || LS.map.getView().getCenter();
    const [a, b, c, d, e, f] = frame.to_map;
    const x = a * spot[0] + b * spot[1] + c, y = d * spot[0] + e * spot[1] + f;
    // As many digits as a tenth of a screen pixel needs.
    const fine = Math.hypot(a, d) * (LS.map.getView().getResolution() || 1);
    const digits = Math.min(8, Math.max(0, Math.ceil(-Math.log10(fine))));
    const shown = [x, y].map((v) => LS.number(v, digits));
    LS.byId("where").textContent = `${at ? "" : "middle "}x ${shown[0]}  y ${shown[1]}`;
    LS.byId("crs").textContent = name;
  },
  bar() {
    const resolution = LS.map.getView().getResolution();
    const frame = LS.frame();
    if (!resolution || !frame) return;
    const most = resolution * 110, power = 10 ** Math.floor(Math.log10(most));
    const step = [5, 2, 1].find((k) => k * power <= most) * power;
    LS.byId("scale-line").style.width = `${step / resolution}px`;
    LS.byId("scale-text").textContent = frame.unit === "px" ? `${step} px` : step >= 1000 ? `${step / 1000} km` : step >= 1 ? `${step} m` : `${step * 100} cm`;
    if (LS.byId("where").textContent.startsWith("middle")) this.tell(null);
  },
};
