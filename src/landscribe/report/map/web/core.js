"use strict";
// One object for the whole page. Other files hang their part on it; start.js puts them together.
const LS = {
  manifest: JSON.parse(document.getElementById("manifest").textContent),
  state: {
    frame: -1, scene: -1, run: 0,
    on: { picture: true, probability: false, found: true, truth: true, tp: false, fp: false, fn: false },
    opacity: { picture: 1, probability: 0.75, found: 1, truth: 1, tp: 0.6, fp: 0.75, fn: 0.75 },
    hidden: new Set(), probability: 0, bands: {}, stretch: { dark: 0, bright: 0, gamma: 1 },
    swipe: false, swipeAt: 0.5,
    side: { picture: "both", probability: "right", found: "right", truth: "right", tp: "right", fp: "right", fn: "right" },
  },
  handlers: {},
  on(name, act) { (this.handlers[name] ||= []).push(act); },
  emit(name, value) { for (const act of this.handlers[name] || []) act(value); },
};

LS.kinds = [
  { key: "picture", text: "Picture", key1: "p", raster: true },
  { key: "probability", text: "Probability", key1: "b", raster: true },
  { key: "tp", text: "Found", hint: "predicted and true", key1: "1" },
  { key: "fp", text: "Invented", hint: "predicted, not true", key1: "2" },
  { key: "fn", text: "Missed", hint: "true, not predicted", key1: "3" },
  { key: "truth", text: "Truth", hint: "outlines of the labels", key1: "t" },
  { key: "found", text: "Prediction", hint: "outlines of what the model found", key1: "f" },
];
LS.kindOf = (key) => LS.kinds.find((kind) => kind.key === key);

// Elements. Text is always set as text, so no name of a class or a scene can become a tag.
LS.el = (tag, attributes, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "value" || name === "checked" || name === "disabled" || name === "hidden") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(9)) if (child !== null && child !== undefined) node.append(child);
  return node;
};
LS.byId = (id) => document.getElementById(id);

LS.icons = {
  plus: "M12 5v14M5 12h14", minus: "M5 12h14", close: "M6 6l12 12M18 6L6 18",
  whole: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  ruler: "M3 17L17 3l4 4L7 21zM8 12l2 2M11 9l2 2M14 6l2 2",
  area: "M5 8l7-4 7 5-2 10H6zM5 8v0M12 4v0M19 9v0",
  swipe: "M12 3v18M8 9l-4 3 4 3M16 9l4 3-4 3", help: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.5",
  theme: "M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z", panel: "M4 5h16v14H4zM10 5v14", next: "M9 5l7 7-7 7", back: "M15 5l-7 7 7 7",
};
LS.icon = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", LS.icons[name]);
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon" })) svg.setAttribute(key, value);
  svg.append(path);
  return svg;
};
LS.button = (icon, label, act, key) => LS.el("button", {
  type: "button", class: "tool", "aria-label": label, title: key ? `${label} (${key})` : label, onclick: act,
}, LS.icon(icon));

// Numbers as people read them.
LS.number = (value, digits) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
LS.short = (value) => (value >= 100 ? LS.number(value, 0) : value >= 10 ? LS.number(value, 1) : LS.number(value, 2));
LS.length = (value, unit) => (unit === "px" ? `${LS.short(value)} px` : value >= 1000 ? `${LS.short(value / 1000)} km` : `${LS.short(value)} m`);
LS.areaText = (value, unit) => {
  if (unit === "px") return `${LS.short(value)} px²`;
  return value >= 1e6 ? `${LS.short(value / 1e6)} km²` : value >= 1e5 ? `${LS.short(value / 1e4)} ha` : `${LS.short(value)} m²`;
};
LS.share = (thousandths) => (thousandths < 0 ? "–" : (thousandths / 1000).toFixed(2));
LS.plural = (n, word) => `${LS.number(n, 0)} ${word}${n === 1 ? "" : "s"}`;

LS.classes = LS.manifest.classes;
LS.classOf = new Map(LS.classes.map((one) => [one.id, one]));
LS.rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
// A dark line cannot be seen on dark roofs: towards white until it can.
LS.lively = (hex) => {
  let [r, g, b] = LS.rgb(hex);
  while (0.3 * r + 0.59 * g + 0.11 * b < 120) [r, g, b] = [r, g, b].map((v) => v + (255 - v) * 0.15);
  return [r, g, b].map(Math.round);
};

// Said in words too, for those who hear the page.
LS.say = (text) => { LS.byId("said").textContent = text; };
LS.note = (text) => {
  const node = LS.byId("note");
  node.textContent = text;
  node.hidden = !text;
};
