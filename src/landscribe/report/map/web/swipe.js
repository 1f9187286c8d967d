"use strict";
// Swipe: what is on the left and what is on the right of a bar. Only the style sheet moves, nothing is drawn anew.
LS.swipe = {
  start() {
    const bar = LS.byId("swipe");
    const move = (event) => {
      const map = LS.byId("map").getBoundingClientRect();
      this.to((event.clientX - map.left) / map.width);
    };
    bar.addEventListener("pointerdown", (event) => {
      bar.setPointerCapture(event.pointerId);
      event.preventDefault();
      bar.focus();
    });
    bar.addEventListener("pointermove", (event) => { if (bar.hasPointerCapture(event.pointerId)) move(event); });
    bar.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (!step) return;
      this.to(LS.state.swipeAt + step);
      event.preventDefault();
      event.stopPropagation();
    });
    if (LS.manifest.runs.length > 1) {
      this.names = ["left", "right"].map((side) => LS.el("b", { class: `side-name ${side}` }));
      bar.append(...this.names);
    }
    for (const name of ["layers", "scene"]) LS.on(name, () => this.tell());
    this.to(0.5);
  },
  nameOf: (run, end = "") => (LS.manifest.runs.length > 1 ? LS.manifest.runs[run].name + end : ""),
  // The first run is on the left; on the right the one that is on top, or the second.
  sides: () => [0, LS.state.run || 1],
  tell() {
    this.sides().forEach((run, k) => {
      if (!this.names) return;
      this.names[k].textContent = this.nameOf(run);
      this.names[k].classList.toggle("edited", Boolean(LS.edit) && run === LS.state.run);
      this.names[k].title = LS.edit && run === LS.state.run ? "edits go into this run" : "";
    });
  },
  to(share) {
    LS.state.swipeAt = Math.min(0.98, Math.max(0.02, share));
    LS.byId("stage").style.setProperty("--swipe", `${100 * LS.state.swipeAt}%`);
    LS.byId("swipe").setAttribute("aria-valuenow", Math.round(100 * LS.state.swipeAt));
  },
  toggle() {
    LS.state.swipe = !LS.state.swipe;
    const bar = LS.byId("swipe");
    bar.hidden = !LS.state.swipe;
    if (LS.state.swipe) {
      // In the middle of what the panel leaves free.
      const [, right, , left] = LS.view.padding(), width = LS.byId("map").clientWidth;
      this.to(left > 200 ? (left + (width - left - right) / 2) / width : 0.5);
    }
    LS.view.apply();
    LS.emit("tools");
    LS.say(LS.state.swipe ? "swipe on: move the bar with the arrow keys" : "swipe off");
  },
};
