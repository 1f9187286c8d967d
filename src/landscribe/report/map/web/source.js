"use strict";
// Where tiles and polygons come from. A source has
//   tile(scene, layer, z, x, y, bands) -> Promise of ImageData or null: raw codes, three of the bands as red, green, blue
//   levels(scene, layer) -> the levels there are, coarse to fine
//   polygons(scene, kind, extent) -> Promise of packed polygons (packing.py says how)
//   whole: true where polygons() gives all of a scene at once
LS.tile = 256;
LS.topLevel = (scene) => Math.max(0, Math.ceil(Math.log2(Math.max(...scene.size) / LS.tile)));

LS.pixelsOf = async (url, signal) => {
  const image = new Image();
  image.src = url;
  await image.decode();
  if (signal?.aborted) return null;
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  return pen.getImageData(0, 0, canvas.width, canvas.height);
};

// All of it is in this page, one block of JSON for each scene, parsed when it is first looked at.
LS.embedded = {
  whole: true,
  parsed: new Map(),
  data(scene) {
    const at = LS.manifest.scenes.indexOf(scene);
    if (!this.parsed.has(at)) {
      const content = JSON.parse(LS.byId(`scene-${at}`).textContent);
      for (const image of [...content.images, ...content.probability]) {
        image.at = new Map(image.tiles.map(([z, x, y, url]) => [`${z}/${x}/${y}`, url]));
        image.levels = [...new Set(image.tiles.map(([z]) => z))].sort((a, b) => a - b);
      }
      this.parsed.set(at, content);
    }
    return this.parsed.get(at);
  },
  imagesOf(scene, layer, bands) {
    const content = this.data(scene);
    if (layer === "probability") {
      const own = content.probability.find((one) => one.class === bands[0]);
      return own ? [[own, 0], [own, 0], [own, 0]] : [];
    }
    return bands.map((band) => [content.images[scene.bands[band].image], scene.bands[band].channel]);
  },
  levels(scene, layer, bands) {
    return [...new Set(this.imagesOf(scene, layer, bands).flatMap(([image]) => image.levels))].sort((a, b) => a - b);
  },
  async tile(scene, layer, z, x, y, bands) {
    const wanted = this.imagesOf(scene, layer, bands);
    const got = new Map();
    for (const [image] of wanted) if (!got.has(image)) got.set(image, await this.part(image, z, x, y));
    const first = [...got.values()].find((one) => one);
    if (!first) return null;
    if (got.size === 1 && wanted.every(([, channel], k) => channel === k)) return first;
    const out = new ImageData(LS.tile, LS.tile);
    wanted.forEach(([image, channel], k) => {
      const from = got.get(image);
      for (let i = 0; from && i < out.data.length; i += 4) {
        out.data[i + k] = from.data[i + channel];
        out.data[i + 3] = Math.max(out.data[i + 3], from.data[i + 3]);
      }
    });
    return out;
  },
  // The tile itself, or the part of a coarser one, so that bands of several sizes can be shown together.
  async part(image, z, x, y) {
    for (let up = 0; up <= z; up += 1) {
      const url = image.at.get(`${z - up}/${x >> up}/${y >> up}`);
      if (!url) continue;
      const pixels = await LS.pixelsOf(url);
      const side = LS.tile / 2 ** up;
      if (up === 0 && pixels.width === LS.tile && pixels.height === LS.tile) return pixels;
      const whole = new OffscreenCanvas(pixels.width, pixels.height);
      whole.getContext("2d").putImageData(pixels, 0, 0);
      const pen = new OffscreenCanvas(LS.tile, LS.tile).getContext("2d");
      const left = (x % 2 ** up) * side, top = (y % 2 ** up) * side;
      pen.drawImage(whole, left, top, side, side, 0, 0, LS.tile, LS.tile);
      return pen.getImageData(0, 0, LS.tile, LS.tile);
    }
    return null;
  },
  async polygons(scene, kind) { return this.data(scene).layers[kind] || null; },
};

// From `landscribe view`: the same by address, let in by the cookie. A server that has too much to do is asked again; what
// is damaged or gone is said once.
LS.served = {
  whole: false, numbers: new Map(), broken: new Map(), few: "", said: "",
  number(scene) {
    if (!this.numbers.size) {
      const next = {};
      for (const one of LS.manifest.scenes) this.numbers.set(one, (next[one.run] = (next[one.run] ?? -1) + 1));
    }
    return this.numbers.get(scene);
  },
  levels: (scene) => Array.from({ length: LS.topLevel(scene) + 1 }, (_, k) => k),
  async get(scene, layer, path) {
    const key = `${LS.manifest.scenes.indexOf(scene)} ${layer}`;
    for (let turn = 0; turn < 4; turn += 1) {
      const answer = await fetch(path).catch(() => null);
      if (answer?.ok) {
        if (this.broken.delete(key)) this.tellBroken();
        return answer;
      }
      if (answer && answer.status !== 503) {
        const line = (await answer.text()).trim();
        if (this.broken.get(key)?.line === line) return null;
        this.broken.set(key, { scene, line });
        this.tellBroken(scene);
        return null;
      }
      await new Promise((done) => setTimeout(done, 700 * 2 ** turn));
    }
    LS.note("The server does not answer. Is it still running?");
    return null;
  },
  // What is damaged of the scene that is looked at, and of another one in view that was just found so.
  tellBroken(other = null) {
    const node = LS.byId("note"), own = [...this.broken.values()].filter(({ scene }) => scene === LS.here() || scene === other);
    if (!own.length && (node.hidden || node.textContent !== this.said)) return;
    this.said = [...new Set(own.map(({ line }) => line))].join(" ");
    LS.note(this.said);
  },
  async tile(scene, layer, z, x, y, bands) {
    const path = layer === "probability" ? `probability-${bands[0]}` : "picture";
    const answer = await this.get(scene, path, `/t/${scene.run}/${this.number(scene)}/${path}/${z}/${x}/${y}?v=${bands.join(",")}`);
    if (!answer) return null;
    const image = await createImageBitmap(await answer.blob(), { premultiplyAlpha: "none", colorSpaceConversion: "none" });
    const pen = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    return pen.getImageData(0, 0, image.width, image.height);
  },
  async polygons(scene, kind, extent) {
    if (!scene.layers.includes(kind)) return null;
    const box = extent.map((value) => value.toFixed(3)).join(",");
    const answer = await this.get(scene, kind, `/p/${scene.run}/${this.number(scene)}/${kind}?bbox=${box}&limit=${this.limit}`);
    return answer && answer.json();
  },
  limit: 8000,
  tellLeftOff() {
    const n = [...LS.vector.loaded.values()].reduce((sum, one) => sum + one.leftOff, 0);
    const node = LS.byId("note");
    if (!node.hidden && node.textContent !== this.few) return;
    this.few = n ? `The largest polygons are shown; come closer to see ${LS.plural(n, "more")}.` : "";
    LS.note(this.few);
  },
};
if (LS.manifest.server) {
  LS.on("polygons", () => LS.served.tellLeftOff());
  LS.on("scene", () => LS.served.tellBroken());
}
LS.source = LS.manifest.server ? LS.served : LS.embedded;
