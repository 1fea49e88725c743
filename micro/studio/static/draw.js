// Charts as SVG: axes, curves, bands and stretches, each with a sentence that says what it shows.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 280, LEFT = 62, RIGHT = 12, TOP = 14, BOTTOM = 42;
// As wide as the page, so that letters have their size on a phone too.
const width = () => Math.max(300, Math.min(1000, document.getElementById("main").clientWidth - 32));

// Draw again what was drawn for another width, as when a phone is turned.
export function redrawn(draw) {
  let drawnFor = width(), waits = 0;
  addEventListener("resize", () => {
    clearTimeout(waits);
    waits = setTimeout(() => {
      if (width() === drawnFor) return;
      drawnFor = width();
      draw();
    }, 150);
  });
}

export function shape(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

// Round numbers between two others, about `count` of them.
export function ticks(low, high, count = 6) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9; n++) found.push(Number((n * step).toPrecision(12)));
  return found;
}

const extent = (values) => values.reduce(([low, high], v) => (v === null || !Number.isFinite(v) ? [low, high] : [Math.min(low, v), Math.max(high, v)]), [Infinity, -Infinity]);

// A chart with scales: `x` and `y` turn values into places, `value` a place back into a value along x.
export function frame({ x, y, xTitle, yTitle, says }) {
  let [left, right] = x, [low, high] = y;
  if (!(right > left)) right = left + 1;
  if (!Number.isFinite(low)) [low, high] = [0, 1];
  if (!(high > low)) [low, high] = [low - 0.5, high + 0.5];
  const WIDTH = width();
  const place = {
    x: (v) => LEFT + ((v - left) / (right - left)) * (WIDTH - LEFT - RIGHT),
    y: (v) => HEIGHT - BOTTOM - ((v - low) / (high - low)) * (HEIGHT - TOP - BOTTOM),
    value: (p) => left + ((p - LEFT) / (WIDTH - LEFT - RIGHT)) * (right - left),
    top: TOP, bottom: HEIGHT - BOTTOM, left: LEFT, right: WIDTH - RIGHT, width: WIDTH,
  };
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": says });
  for (const tick of ticks(low, high, 5)) {
    svg.append(shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: place.y(tick), y2: place.y(tick), class: "grid" }));
    svg.append(shape("text", { x: LEFT - 6, y: place.y(tick) + 4, "text-anchor": "end" }, String(tick)));
  }
  for (const tick of ticks(left, right, WIDTH / 80)) {
    svg.append(shape("line", { x1: place.x(tick), x2: place.x(tick), y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 5, class: "axis" }));
    svg.append(shape("text", { x: place.x(tick), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, String(tick)));
  }
  svg.append(shape("path", { d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}`, class: "axis" }));
  svg.append(shape("text", { x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, xTitle));
  svg.append(shape("text", { x: LEFT + 6, y: 11 }, yTitle));
  return { svg, place };
}

export function curve(chart, at, values, second = false) {
  let path = "", pen = false;
  values.forEach((value, n) => {
    if (value === null || !Number.isFinite(value)) pen = false;
    else {
      path += `${pen ? "L" : "M"}${chart.place.x(at[n]).toFixed(1)} ${chart.place.y(value).toFixed(1)}`;
      pen = true;
    }
  });
  chart.svg.append(shape("path", { d: path, class: second ? "curve second" : "curve" }));
}

// The least and the most of a signal as a band.
export function band(chart, at, low, high) {
  let path = "";
  for (let n = 0; n < at.length; n++) {
    if (low[n] === null) continue;
    path += `M${chart.place.x(at[n]).toFixed(1)} ${chart.place.y(low[n]).toFixed(1)}V${(chart.place.y(high[n]) - 0.5).toFixed(1)}`;
  }
  chart.svg.append(shape("path", { d: path, class: "curve" }));
}

export function lines(series, { xTitle, yTitle, says, keys = true }) {
  const chart = frame({ x: extent(series.flatMap((s) => s.at)), y: extent(series.flatMap((s) => s.values)), xTitle, yTitle, says });
  series.forEach((each, n) => {
    curve(chart, each.at, each.values, n % 2 === 1);
    const last = each.values.length - 1;
    if (keys && series.length > 1) {
      chart.svg.append(shape("text", { x: chart.place.right - 4, y: 24 + 15 * n, "text-anchor": "end", class: "key" }, `${n % 2 ? "- - " : "— "}${each.name}: ${Number(each.values[last].toPrecision(4))}`));
    }
  });
  return chart;
}

// Levels by time and frequency, a cell of each; light is loud in dark pages and dark is loud in light ones.
export function cells(drawn, says) {
  const canvas = document.createElement("canvas");
  const rows = drawn.cells.length, columns = drawn.cells[0].length;
  canvas.width = columns;
  canvas.height = rows;
  canvas.className = "chart";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", says);
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const [from, to] = dark ? [[22, 24, 27], [255, 214, 130]] : [[255, 255, 255], [10, 40, 90]];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const share = drawn.cells[row][column] / 255;
      const at = 4 * ((rows - 1 - row) * columns + column);
      for (let part = 0; part < 3; part++) image.data[at + part] = from[part] + share * (to[part] - from[part]);
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  // Drawn once more into a chart with axes, as an image of its own.
  const chart = frame({ x: [drawn.start, drawn.end], y: [0, drawn.highest], xTitle: drawn.unit, yTitle: "Hz", says });
  const picture = shape("image", {
    x: chart.place.left, y: chart.place.top, width: chart.place.right - chart.place.left,
    height: chart.place.bottom - chart.place.top, preserveAspectRatio: "none", href: canvas.toDataURL(),
  });
  chart.svg.insertBefore(picture, chart.svg.firstChild);
  return chart;
}
