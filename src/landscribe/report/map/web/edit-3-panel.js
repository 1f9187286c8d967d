"use strict";
// The tab "Review", the buttons on the card, and keys.
Object.assign(LS.edit, {
  actions: [
    { key: "y", icon: "accept", text: "Accept", act: () => LS.edit.accept() },
    { key: "x", icon: "reject", text: "Reject", act: () => LS.edit.reject() },
    { key: "c", icon: "swap", text: "Next class", act: () => LS.edit.nextClass(), several: true },
    { key: "r", icon: "pencil", text: "Draw", mode: "draw" },
    { key: "e", icon: "corners", text: "Edit corners", mode: "edit" },
    { key: "q", icon: "cut", text: "Split by a line", mode: "split" },
    { key: "g", icon: "join", text: "Join with another", mode: "merge" },
    { key: "Delete", icon: "bin", text: "Delete", act: () => LS.edit.remove() },
    { key: "i", icon: "eye", text: "I looked here", mode: "looked" },
    { key: "u", icon: "next", text: "Next one to look at", act: () => LS.edit.next() },
    { key: "z", icon: "undo", text: "Undo", act: () => LS.edit.undo() },
    { key: "Z", icon: "redo", text: "Redo", act: () => LS.edit.redo() },
  ],
  run(action) { if (action.mode) this.begin(action.mode); else action.act(); },
  tool(action) {
    const button = LS.el("button", { type: "button", class: "act", "data-act": action.key, title: `${action.text} (${action.key})`, onclick: () => this.run(action) },
      LS.icon(action.icon), LS.el("span", {}, action.text), LS.el("kbd", {}, action.key === "Delete" ? "Del" : action.key));
    if (action.mode) LS.on("tools", () => button.setAttribute("aria-pressed", String(this.mode === action.mode)));
    return button;
  },
  classPicker(label, value, act) {
    return LS.el("label", { class: "pick" }, LS.el("span", {}, label), LS.el("select", { onchange: (event) => act(event.target.value), "data-pick": label },
      LS.classes.map((one) => LS.el("option", { value: one.name, selected: one.name === value }, one.name))));
  },

  heldOut: (scene) => (scene?.split === "validate" ? "Held out: what you review here takes this scene out of the score, and it trains instead." : ""),
  panel() {
    const held = LS.el("p", { class: "held-out", id: "held-out" });
    const saving = LS.el("p", { id: "saving", role: "status" }), counts = LS.el("p", { class: "soft", id: "review-counts" });
    const why = LS.el("p", { class: "soft" }), buttons = LS.el("div", { class: "acts" }, this.actions.filter((one) => !one.several || LS.classes.length > 1).map((one) => this.tool(one)));
    const tell = () => {
      const scene = LS.here();
      if (!scene) return;
      const book = this.book(scene), rows = [...book.rows.values()].filter((row) => row.shape);
      const waiting = this.queue.reduce((sum, one) => sum + one.edits.length, 0);
      saving.textContent = book.readOnly ? book.readOnly : this.state === "waiting" ? `Not saved: ${this.why}. ${LS.plural(waiting, "edit")} kept here and sent again.` : this.state === "saving" ? "Saving" : "All is saved";
      saving.dataset.state = book.readOnly ? "locked" : this.state;
      const n = (test) => rows.filter(test).length, kind = (v) => (row) => row.kind === "feature" && row.verdict === v;
      counts.textContent = `${LS.swipe.nameOf(LS.runOf(scene), ", ")}${scene.id}: ${n((r) => kind("accept")(r) && r.source === "model")} accepted, ${n(kind("reject"))} rejected, ${n((r) => r.source === "edited" && r.verdict === "accept")} edited, ${n((r) => r.source === "drawn")} drawn, ${LS.plural(n((r) => r.kind === "looked"), "area")} looked at`;
      held.textContent = book.readOnly ? "" : this.heldOut(scene);
      held.hidden = !held.textContent;
      why.textContent = book.notes.join(" ");
      buttons.inert = Boolean(book.readOnly);
      buttons.classList.toggle("off", Boolean(book.readOnly));
    };
    for (const name of ["saving", "review", "scene", "ready"]) LS.on(name, tell);
    const looked = "In an area that you looked at, what is left is right and what is missing is not there. Elsewhere only what you accepted, drew or rejected counts.";
    return [
      saving, held, counts, LS.classes.length > 1 ? this.classPicker("Draw", this.drawClass, (name) => { this.drawClass = name; }) : null, buttons,
      LS.el("p", { class: "soft" }, looked), LS.el("p", { class: "soft" }, "Kept in the folder review of the run, a GeoPackage for each scene. landscribe absorb takes it as labels."), why,
    ];
  },
  card(feature) {
    if (feature.get("kind") !== "found" || !this.canEdit(feature.get("scene"))) return null;
    const row = this.rowOf(feature);
    const said = { accept: row?.source === "drawn" ? "drawn by hand" : row?.source === "edited" ? "edited" : "accepted", reject: "rejected" }[row?.verdict] || "nobody looked at it";
    const now = LS.classOf.get(feature.get("class"))?.name;
    const of = (keys) => this.actions.filter((one) => keys.includes(one.key)).map((one) => this.tool(one));
    return LS.el("div", { class: "review-card" },
      LS.el("p", { class: "soft" }, said, row?.who ? ` · ${row.who}` : ""),
      this.heldOut(feature.get("scene")) ? LS.el("p", { class: "held-out" }, this.heldOut(feature.get("scene"))) : null,
      LS.el("div", { class: "acts" }, of(["y", "x", "e", "Delete"])),
      LS.classes.length > 1 ? this.classPicker("Class", now, (name) => this.classTo(name)) : null,
      LS.el("input", { type: "text", class: "note", placeholder: "note", "aria-label": "note", maxlength: 500, value: row?.note || "", onchange: (event) => this.note(event.target.value) }));
  },
});

if (LS.manifest.server) {
  Object.assign(LS.icons, {
    accept: "M5 13l5 5L20 7", reject: "M7 7l10 10M17 7L7 17M12 3a9 9 0 1 0 .01 0z", pencil: "M4 20l4-1L19 8l-3-3L5 16zM14 7l3 3",
    corners: "M5 5h14v14H5zM3 3h4v4H3zM17 3h4v4h-4zM3 17h4v4H3zM17 17h4v4h-4z", cut: "M4 4l16 16M8 17a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM20 17a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM7.5 15.5L18 4",
    join: "M4 8h9v9H4zM11 5h9v9h-9z", bin: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13", eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 1 0 .01 0z",
    undo: "M9 7L4 12l5 5M4 12h10a5 5 0 0 1 0 10", redo: "M15 7l5 5-5 5M20 12H10a5 5 0 0 0 0 10", swap: "M7 4L3 8l4 4M3 8h14M17 12l4 4-4 4M21 16H7",
  });
  LS.panel.add({ id: "review", text: "Review", order: 15, build: () => LS.edit.panel() });
  LS.on("before-panel", () => {
    LS.edit.start();
    LS.shell.tools.push(
      () => LS.shell.pressed(LS.button("pencil", "draw a polygon", () => LS.edit.begin("draw"), "r"), () => LS.edit.mode === "draw"),
      () => LS.button("undo", "undo", () => LS.edit.undo(), "z"),
    );
  });
  LS.card.more.push((feature) => LS.edit.card(feature));
  for (const action of LS.edit.actions) LS.keys.add(action.key, action.text, () => LS.edit.run(action), "Review");
  LS.keys.add("Enter", "End the drawing, or accept and go on", (event) => {
    if (event.target.closest?.("button, a, summary")) { event.target.click(); return; }
    if (LS.edit.mode) LS.edit.finish();
    else if (LS.card.feature) {
      // What somebody rejected stays rejected: only the key of a verdict overturns one.
      if (!LS.edit.rowOf(LS.card.feature)?.verdict) LS.edit.accept();
      LS.edit.next();
    }
  }, "Review");
  LS.on("ready", () => {
    const escape = LS.keys.escape.bind(LS.keys);
    LS.keys.escape = () => { if (!LS.edit.stop()) escape(); };
    document.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== "z" || event.target.closest?.("input[type=text]")) return;
      event.preventDefault();
      if (event.shiftKey) LS.edit.redo(); else LS.edit.undo();
    });
    LS.edit.recall();
    LS.edit.watch();
    LS.edit.flush();
    LS.emit("saving");
  });
}
