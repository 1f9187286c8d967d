"use strict";
// Pictures and probabilities: tiles of scenes, drawn on a canvas of our own, so that pixels need not be square, any
// three bands can be mixed, and the stretch costs no new tile.
LS.raster = {
  cache: new Map(), most: 400, busy: 0, queue: [], version: 0,

  make(kind, run, zIndex) {
    // In an element of its own: OpenLayers would draw the next layer into a bare canvas.
    const canvas = document.createElement("canvas");
    const box = LS.el("div", { class: `ls-layer ls-${kind} run-${run}` }, canvas);
    const layer = new ol.layer.Layer({
      zIndex,
      render: (frame) => {
        this.draw(canvas, frame, kind, run);
        box.style.opacity = LS.state.opacity[kind];
        return box;
      },
    });
    return layer;
  },

  draw(canvas, frame, kind, run) {
    const [w, h] = frame.size, ratio = frame.pixelRatio;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const { center, resolution } = frame.viewState;
    const toX = (x) => Math.round(((x - center[0]) / resolution + w / 2) * ratio);
    const toY = (y) => Math.round(((center[1] - y) / resolution + h / 2) * ratio);
    for (const scene of LS.scenesOf(LS.state.frame, run)) {
      const [left, bottom, right, top] = scene.extent;
      if (toX(right) < 0 || toX(left) > canvas.width || toY(bottom) < 0 || toY(top) > canvas.height) continue;
      const bands = kind === "picture" ? LS.picture.bandsOf(scene) : [LS.classes[LS.state.probability]?.id];
      const levels = LS.source.levels(scene, kind, bands);
      if (!levels.length) continue;
      const scale = ((right - left) / resolution) * ratio / scene.size[0];
      const wanted = LS.topLevel(scene) + Math.ceil(Math.log2(scale) - 0.25);
      const level = levels.find((z) => z >= wanted) ?? levels[levels.length - 1];
      pen.imageSmoothingEnabled = scale < 4;
      pen.imageSmoothingQuality = "high";
      // Tiles at the far edges are filled up to their full size.
      pen.save();
      pen.beginPath();
      pen.rect(toX(left), toY(top), toX(right) - toX(left), toY(bottom) - toY(top));
      pen.clip();
      this.drawScene(pen, scene, kind, bands, levels, level, toX, toY);
      pen.restore();
    }
  },

  drawScene(pen, scene, kind, bands, levels, level, toX, toY) {
    const [left, , , top] = scene.extent;
    const unitX = (scene.extent[2] - left) / scene.size[0], unitY = (top - scene.extent[1]) / scene.size[1];
    const side = LS.tile * 2 ** (LS.topLevel(scene) - level);
    const columns = Math.ceil(scene.size[0] / side), rows = Math.ceil(scene.size[1] / side);
    for (let y = 0; y < rows; y += 1) {
      const y0 = toY(top - y * side * unitY), y1 = toY(top - (y + 1) * side * unitY);
      if (y1 < 0 || y0 > pen.canvas.height) continue;
      for (let x = 0; x < columns; x += 1) {
        const x0 = toX(left + x * side * unitX), x1 = toX(left + (x + 1) * side * unitX);
        if (x1 < 0 || x0 > pen.canvas.width) continue;
        const found = this.best(scene, kind, bands, levels, level, x, y);
        if (!found) continue;
        const part = LS.tile / 2 ** found.up;
        const from = [(x % 2 ** found.up) * part, (y % 2 ** found.up) * part];
        pen.drawImage(found.canvas, from[0], from[1], part, part, x0, y0, x1 - x0, y1 - y0);
      }
    }
  },

  // The tile, or the best coarser one until it is there.
  best(scene, kind, bands, levels, level, x, y) {
    for (let up = 0; up <= level; up += 1) {
      if (!levels.includes(level - up)) continue;
      const tile = this.get(scene, kind, bands, level - up, x >> up, y >> up, up === 0);
      if (tile) return { canvas: tile, up };
    }
    return null;
  },

  get(scene, kind, bands, z, x, y, ask) {
    const key = `${LS.manifest.scenes.indexOf(scene)}/${kind}/${bands}/${z}/${x}/${y}`;
    let one = this.cache.get(key);
    if (!one) {
      if (!ask) return null;
      one = { pixels: null, canvas: null, version: -1, asked: true };
      this.cache.set(key, one);
      this.queue.push(async () => {
        one.pixels = await LS.source.tile(scene, kind, z, x, y, bands).catch(() => null);
      });
      this.work();
      return null;
    }
    this.cache.delete(key);
    this.cache.set(key, one);
    if (!one.pixels) return null;
    if (one.version !== this.version) {
      one.canvas ||= new OffscreenCanvas(one.pixels.width, one.pixels.height);
      one.canvas.getContext("2d").putImageData(this.shown(one.pixels, scene, kind, bands), 0, 0);
      one.version = this.version;
    }
    return one.canvas;
  },

  // Newest first: what is looked at now matters more than what was passed on the way.
  work() {
    while (this.busy < 6 && this.queue.length) {
      const act = this.queue.pop();
      this.busy += 1;
      act().finally(() => {
        this.busy -= 1;
        LS.map.render();
        this.work();
      });
    }
    for (const key of this.cache.keys()) {
      if (this.cache.size <= this.most) break;
      this.cache.delete(key);
    }
  },

  shown(pixels, scene, kind, bands) {
    const out = new ImageData(pixels.width, pixels.height);
    const from = pixels.data, to = out.data;
    if (kind === "probability") {
      const [r, g, b] = LS.lively(LS.classes[LS.state.probability].colour);
      for (let i = 0; i < from.length; i += 4) {
        const p = from[i];
        to[i] = r; to[i + 1] = g; to[i + 2] = b; to[i + 3] = p < 8 ? 0 : p;
      }
      return out;
    }
    const tables = bands.map((band) => LS.picture.table(scene, band));
    for (let i = 0; i < from.length; i += 4) {
      for (let k = 0; k < 3; k += 1) to[i + k] = tables[k][from[i + k]];
      to[i + 3] = from[i + 3];
    }
    return out;
  },

  restyle() {
    this.version += 1;
    LS.map.render();
  },
};
