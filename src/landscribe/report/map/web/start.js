"use strict";
// What lies around the map, and putting it all together.
LS.shell = {
  help() {
    LS.byId("help-keys").replaceChildren(...LS.keys.table());
    LS.byId("help").showModal();
  },
  theme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  },
  bare() {
    document.body.classList.toggle("bare");
    LS.emit("tools");
  },
  tools: [
    () => LS.button("plus", "closer", () => LS.view.zoom(1), "+"),
    () => LS.button("minus", "further", () => LS.view.zoom(-1), "-"),
    () => LS.button("whole", "whole scene", () => LS.view.fit(LS.here().extent), "0"),
    () => LS.shell.pressed(LS.button("swipe", "swipe", () => LS.swipe.toggle(), "s"), () => LS.state.swipe),
    () => LS.shell.pressed(LS.button("ruler", "measure a length", () => LS.measure.begin("length"), "m"), () => LS.measure.what === "length"),
    () => LS.shell.pressed(LS.button("area", "measure an area", () => LS.measure.begin("area"), "a"), () => LS.measure.what === "area"),
    () => LS.shell.pressed(LS.button("panel", "panel", () => LS.shell.bare(), "h"), () => !document.body.classList.contains("bare")),
    () => LS.button("theme", "dark or light", () => LS.shell.theme(), "d"),
    () => LS.button("help", "keys", () => LS.shell.help(), "?"),
  ],
  pressed(button, test) {
    const tell = () => button.setAttribute("aria-pressed", String(Boolean(test())));
    LS.on("tools", tell);
    tell();
    return button;
  },
  // On a phone the panel is a sheet with three heights; its handle is dragged or tapped.
  sheet() {
    const handle = LS.byId("handle"), panel = LS.byId("panel"), stops = ["low", "half", "high"];
    let from = null;
    const set = (name) => { panel.dataset.sheet = name; panel.style.removeProperty("--sheet"); };
    const next = () => set(stops[(stops.indexOf(panel.dataset.sheet) + 1) % 3]);
    handle.addEventListener("pointerdown", (event) => {
      from = { y: event.clientY, height: panel.getBoundingClientRect().height, moved: false };
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (!from) return;
      from.moved ||= Math.abs(event.clientY - from.y) > 6;
      if (from.moved) panel.style.setProperty("--sheet", `${from.height + from.y - event.clientY}px`);
    });
    handle.addEventListener("pointerup", () => {
      if (from?.moved) {
        const share = panel.getBoundingClientRect().height / innerHeight;
        set(share < 0.25 ? "low" : share < 0.65 ? "half" : "high");
        from = { dragged: true };
        setTimeout(() => { from = null; }, 0);
      } else from = null;
    });
    handle.addEventListener("click", () => { if (!from?.dragged) next(); });
    set("half");
  },
};

LS.start = () => {
  LS.view.start();
  LS.measure.start();
  LS.status.start();
  LS.card.start();
  LS.swipe.start();
  LS.emit("before-panel");
  LS.panel.start();
  LS.shell.sheet();
  LS.keys.start();
  LS.byId("tools").append(...LS.shell.tools.map((make) => make()));
  LS.byId("help-close").addEventListener("click", () => LS.byId("help").close());
  if (LS.manifest.scenes.length) LS.view.goScene(0, { instant: true });
  else LS.note("This run has no scene to show yet.");
  LS.emit("ready");
  LS.emit("layers");
};
LS.start();
