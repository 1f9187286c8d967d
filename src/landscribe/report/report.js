"use strict";
(() => {
  const root = document.body;
  const byId = (id) => document.getElementById(id);
  const toolbar = byId("toolbar");
  if (!toolbar) return;

  // Switches: a class on the body hides a layer or a land class everywhere at once.
  const boxes = [...toolbar.querySelectorAll("input[data-class]")];
  const apply = (box) => root.classList.toggle("no-" + (box.dataset.layer ?? "k" + box.dataset.class), !box.checked);
  toolbar.addEventListener("change", (event) => {
    if (event.target.type === "checkbox") apply(event.target);
  });
  const choose = (keep) => boxes.forEach((box) => { box.checked = keep(box); apply(box); });
  for (const button of toolbar.querySelectorAll("button[data-all]")) {
    button.addEventListener("click", () => choose(() => button.dataset.all === "on"));
  }
  for (const button of document.querySelectorAll("button[data-only]")) {
    button.addEventListener("click", () => {
      choose((box) => box.dataset.class === button.dataset.only);
      byId("scenes").scrollIntoView();
    });
  }
  // A browser keeps switches as they were over a reload.
  for (const box of toolbar.querySelectorAll("input[type=checkbox]")) apply(box);
  const opacity = byId("opacity");
  const fade = () => document.documentElement.style.setProperty("--fill", opacity.value / 100);
  opacity.addEventListener("input", fade);
  fade();

  // Order.
  const cards = byId("cards");
  const order = byId("order");
  const rules = {
    worst: (a, b) => a.dataset.worst - b.dataset.worst,
    wrong: (a, b) => b.dataset.wrong - a.dataset.wrong,
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
  };
  order?.addEventListener("change", () => cards.append(...[...cards.children].sort(rules[order.value])));

  // The enlarged scene: the picture itself moves into the dialog and back, so nothing exists twice.
  const dialog = byId("enlarged");
  const shown = byId("shown");
  const home = toolbar.parentNode;
  const after = toolbar.nextSibling;
  let card = null;
  let zoom = 1;
  const fit = () => {
    const image = shown.querySelector("img");
    if (!image) return;
    const scale = Math.min(shown.clientWidth / image.width0, shown.clientHeight / image.height0);
    shown.querySelector(".stack").style.width = Math.floor(image.width0 * scale * zoom) + "px";
  };
  const setZoom = (next, x, y) => {
    const before = { width: shown.scrollWidth, height: shown.scrollHeight };
    const at = { x: x ?? shown.clientWidth / 2, y: y ?? shown.clientHeight / 2 };
    const left = (shown.scrollLeft + at.x) / before.width;
    const top = (shown.scrollTop + at.y) / before.height;
    zoom = Math.min(16, Math.max(1, next));
    fit();
    shown.scrollLeft = left * shown.scrollWidth - at.x;
    shown.scrollTop = top * shown.scrollHeight - at.y;
  };
  const putBack = () => {
    const stack = shown.querySelector(".stack");
    if (!stack || !card) return;
    stack.style.width = "";
    card.querySelector(".open").append(stack);
  };
  const show = (next) => {
    putBack();
    card = next;
    const stack = card.querySelector(".stack");
    const image = stack.querySelector("img");
    image.width0 = Number(image.getAttribute("width"));
    image.height0 = Number(image.getAttribute("height"));
    byId("shown-name").textContent = card.dataset.name;
    shown.append(stack);
    byId("shown-tools").append(toolbar);
    if (!dialog.open) dialog.showModal();
    shown.focus();
    zoom = 1;
    fit();
  };
  const step = (by) => {
    const all = [...cards.children];
    show(all[(all.indexOf(card) + by + all.length) % all.length]);
  };
  const acts = {
    previous: () => step(-1),
    next: () => step(1),
    in: () => setZoom(zoom * 1.5),
    out: () => setZoom(zoom / 1.5),
    close: () => dialog.close(),
  };
  cards.addEventListener("click", (event) => {
    const opener = event.target.closest(".open");
    if (opener) show(opener.closest(".card"));
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
    const act = event.target.closest("button[data-act]");
    if (act) acts[act.dataset.act]();
  });
  dialog.addEventListener("close", () => {
    putBack();
    home.insertBefore(toolbar, after);
    card?.querySelector(".open").focus();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select")) return;
    const keys = { ArrowLeft: "previous", ArrowRight: "next", "+": "in", "=": "in", "-": "out" };
    const act = keys[event.key];
    if (!act || (zoom > 1 && event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    acts[act]();
  });
  shown.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = shown.getBoundingClientRect();
    setZoom(zoom * (event.deltaY < 0 ? 1.2 : 1 / 1.2), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  shown.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    event.preventDefault();
    shown.setPointerCapture(event.pointerId);
    shown.classList.add("dragging");
    const from = { x: event.clientX + shown.scrollLeft, y: event.clientY + shown.scrollTop };
    const move = (at) => { shown.scrollLeft = from.x - at.clientX; shown.scrollTop = from.y - at.clientY; };
    const stop = () => {
      shown.classList.remove("dragging");
      shown.removeEventListener("pointermove", move);
    };
    shown.addEventListener("pointermove", move);
    shown.addEventListener("pointerup", stop, { once: true });
    shown.addEventListener("pointercancel", stop, { once: true });
  });
  addEventListener("resize", fit);
})();
