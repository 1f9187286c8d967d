"use strict";
// What is said of polygons: rows by scene, sent to the server one batch after the other. A batch stays in this browser's
// storage until the server says that it is on the disk, so neither a lost line nor a closed tab loses an edit. Each has an
// entry of its own there, so that tabs do not overwrite each other's, and names its run by more than the folder's name.
LS.edit = {
  books: new Map(), queue: [], undone: [], done: [], busy: false, state: "saved", wait: 1000,
  storage: "landscribe-edit ", tab: Math.random().toString(36).slice(2), count: 0,

  at: (scene) => LS.manifest.scenes.indexOf(scene),
  path(scene) { return `/e/${scene.run}/${LS.served.number(scene)}`; },
  book(scene) {
    const at = this.at(scene);
    if (!this.books.has(at)) this.books.set(at, { scene, rows: new Map(), known: new Map(), revision: 0, readOnly: LS.manifest.server.read_only?.[scene.run] || "", notes: [], asked: false });
    return this.books.get(at);
  },
  row(scene, id) { return this.book(scene).rows.get(id); },
  canEdit(scene) { return Boolean(scene) && !this.book(scene).readOnly; },

  call(path, body) {
    const headers = { "X-Landscribe-Token": LS.manifest.server.token };
    return fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  },

  // Changes: [{ id, row }], row null for what is taken back. All of them are one step of undo.
  change(scene, changes, words) {
    if (!this.canEdit(scene)) {
      LS.note(this.book(scene).readOnly || "This is for looking only.");
      return false;
    }
    const book = this.book(scene);
    const before = changes.map(({ id }) => ({ id, row: book.rows.get(id) || null }));
    this.done.push({ scene, before, after: changes, words });
    this.undone = [];
    this.apply(scene, changes);
    LS.say(words);
    return true;
  },
  apply(scene, changes) {
    const book = this.book(scene);
    for (const { id, row } of changes) {
      if (row) book.rows.set(id, row);
      else book.rows.delete(id);
    }
    const edits = changes.map(({ id, row }) => (row
      ? { id, kind: row.kind, class_name: row.class_name, verdict: row.verdict, source: row.source, note: row.note || "", ...(row.source === "model" ? { box: row.box } : { shape: row.shape }) }
      : { id, kind: "feature", class_name: LS.classes[0].name, verdict: "", source: "model", gone: true }));
    const run = LS.manifest.runs[LS.runOf(scene)];
    this.keep({ at: this.at(scene), id: scene.id, run: run.id, name: run.name, tab: this.tab, edits });
    LS.emit("review", scene);
    this.flush();
  },
  undo() { this.step(this.done, this.undone, "before", "taken back"); },
  redo() { this.step(this.undone, this.done, "after", "done again"); },
  step(from, to, side, words) {
    const one = from.pop();
    if (!one) { LS.say("nothing to take back"); return; }
    to.push(one);
    LS.edit.stop?.();
    LS.card.hide();
    this.apply(one.scene, one[side]);
    LS.say(`${words}: ${one.words}`);
  },

  keep(batch) {
    this.count += 1;
    // Sorted by name they are in the order in which they were made.
    batch.key = `${this.storage}${String(Date.now()).padStart(15, "0")} ${String(this.count).padStart(6, "0")} ${this.tab}`;
    this.queue.push(batch);
    try {
      localStorage.setItem(batch.key, JSON.stringify(batch));
      batch.kept = true;
    } catch { /* storage that is full or switched off: edits wait in this tab only */ }
  },
  drop(batch) {
    this.queue = this.queue.filter((one) => one !== batch);
    try { localStorage.removeItem(batch.key); } catch { /* as above */ }
  },
  read(key) {
    try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
  },
  // Another tab may have sent it meanwhile.
  isSent(batch) { return batch.kept && this.read(batch.key) === null; },
  // What earlier tabs could not send; edits of runs that are not shown here wait for these.
  recall() {
    let keys = [];
    try { keys = Object.keys(localStorage).filter((key) => key.startsWith(this.storage)).sort(); } catch { keys = []; }
    const said = new Map(), twice = new Set(), strange = new Map();
    let n = 0;
    for (const key of keys) {
      const one = this.read(key);
      if (!Array.isArray(one?.edits)) continue;
      const scene = LS.manifest.scenes.find((s) => s.id === one.id && LS.manifest.runs[LS.runOf(s)].id === one.run);
      if (!scene) { strange.set(one.name, (strange.get(one.name) || 0) + one.edits.length); continue; }
      this.queue.push({ ...one, key, at: this.at(scene), kept: true });
      n += one.edits.length;
      for (const edit of one.edits) {
        const name = `${this.at(scene)} ${edit.id}`;
        if ((said.get(name) ?? one.tab) !== one.tab) twice.add(name);
        said.set(name, one.tab);
        if (edit.gone) this.book(scene).rows.delete(edit.id);
        else this.book(scene).rows.set(edit.id, { ...edit, revision: 0 });
      }
    }
    this.recalled = true;
    const lines = [];
    if (n) lines.push(`${LS.plural(n, "edit")} of an earlier visit ${n === 1 ? "is" : "are"} sent now.`);
    if (twice.size) lines.push(`Of ${LS.plural(twice.size, "polygon")} two tabs said something: what was said last holds.`);
    for (const [name, m] of strange) lines.push(`${LS.plural(m, "edit")} of a run ${name} that is not shown here ${m === 1 ? "is" : "are"} kept in this browser: view that run where it lay, on this port.`);
    if (lines.length) LS.note(lines.join(" "));
  },

  async flush() {
    if (this.busy || !this.queue.length) return;
    this.busy = true;
    this.tell("saving");
    while (this.queue.length) {
      const batch = this.queue[0], scene = LS.manifest.scenes[batch.at], book = this.book(scene);
      if (this.isSent(batch)) {
        this.drop(batch);
        await this.pull(scene, true);
        continue;
      }
      const edits = batch.edits.map((edit) => ({ ...edit, was: book.known.get(edit.id) || 0 }));
      let answer = null;
      try { answer = await this.call(this.path(scene), { run: batch.run, edits }); } catch { answer = null; }
      if (!answer || answer.status === 503) {
        this.later(answer ? "the server is busy" : "no connection to the server");
        return;
      }
      if (answer.status === 403) {
        this.later("the server was started anew: open the address that it printed");
        return;
      }
      if (answer.status === 507 || answer.status === 410) {
        this.later((await answer.text()).trim());
        return;
      }
      this.drop(batch);
      if (answer.ok) this.take(scene, await answer.json());
      else {
        this.refused(scene, batch, (await answer.text()).trim());
        await this.pull(scene, true);
      }
    }
    this.busy = false;
    this.wait = 1000;
    this.tell("saved");
  },
  later(why) {
    this.busy = false;
    this.tell("waiting", why);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), this.wait);
    this.wait = Math.min(15000, this.wait * 2);
  },
  refused(scene, batch, why) {
    for (const { id } of batch.edits) this.book(scene).rows.delete(id);
    this.done = this.done.filter((one) => !one.after.some(({ id }) => batch.edits.some((edit) => edit.id === id)));
    LS.note(`Not taken: ${why}`);
  },
  tell(state, why = "") {
    this.state = state;
    this.why = why;
    LS.emit("saving");
  },

  // Rows from the server; those that wait to be sent stay as they are here.
  take(scene, told) {
    const book = this.book(scene);
    const waiting = new Set(this.queue.filter((one) => one.at === this.at(scene)).flatMap((one) => one.edits.map((edit) => edit.id)));
    const put = (row) => {
      if (row.shape || row.revision) book.known.set(row.id, row.revision);
      else book.known.delete(row.id);
      if (waiting.has(row.id)) return;
      if (row.shape) book.rows.set(row.id, row);
      else book.rows.delete(row.id);
    };
    for (const row of told.rows) put(row);
    for (const row of told.conflicts || []) put(row);
    book.revision = Math.max(book.revision, told.revision || 0);
    book.readOnly = told.read_only || "";
    book.notes = told.notes || [];
    if (told.conflicts?.length) {
      const who = told.conflicts.map((row) => row.who).filter(Boolean);
      LS.note(`${LS.plural(told.conflicts.length, "polygon")} had been changed meanwhile${who.length ? ` by ${[...new Set(who)].join(", ")}` : ""}: what stands there now is shown, your change to it was not taken.`);
    } else if (told.mended && Object.keys(told.mended).length) LS.note(`This polygon ${Object.values(told.mended)[0]}.`);
    LS.emit("review", scene);
  },
  async pull(scene, whole = false) {
    const book = this.book(scene);
    const answer = await this.call(`${this.path(scene)}?since=${whole ? 0 : book.revision}`).catch(() => null);
    if (!answer?.ok) {
      if (answer) LS.note((await answer.text()).trim());
      return;
    }
    book.asked = true;
    const told = await answer.json();
    // A server that was started anew may count from an earlier number.
    if (told.revision < book.revision) { book.revision = 0; book.known.clear(); return this.pull(scene, true); }
    if (told.rows.length || told.read_only !== book.readOnly || !book.told) this.take(scene, told);
    book.told = true;
  },
  watch() {
    const look = async () => {
      if (!document.hidden) {
        const here = LS.scenesOf(LS.state.frame).filter((scene) => this.books.get(this.at(scene))?.asked || scene === LS.here());
        for (const scene of here.slice(0, 8)) await this.pull(scene);
        this.flush();
      }
      setTimeout(look, 4000);
    };
    setTimeout(look, 4000);
    addEventListener("online", () => this.flush());
  },
};
