// A set of recordings: its signals, stretches that are marked, the config, and what is started with it.
import { ended, get, guarded, made, on, one, post } from "./common.js";
import { band, cells, curve, frame, redrawn, shape } from "./draw.js";

const { name, look } = one("main").dataset;
const base = `/api/recordings/${encodeURIComponent(name)}`;
if (look) ended(look).then(() => location.reload());
on("look-first", async () => {
  await post(`${base}/look`);
  location.reload();
});

const form = one("look-form");
if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    guarded(form.querySelector("button"), async () => {
      const options = Object.fromEntries([...new FormData(form)].filter(([, value]) => value.trim()));
      await post(`${base}/look`, options);
      location.reload();
    });
  });
}

// Marks stay in this browser, also where its tab is closed, until they are removed: of this folder and set alone.
const place = `marks ${document.querySelector("footer code").textContent} ${name}`;
function kept() {
  try {
    return JSON.parse(localStorage.getItem(place) ?? "[]");
  } catch {
    return [];
  }
}

// The signal, and the stretch that is looked at.
let span = { start: 0, end: null };
let drawn = null, chart = null, latest = 0;
const marks = kept();
const asked = () => {
  const query = new URLSearchParams({ file: one("file").value, channel: one("channel").value, start: span.start });
  if (span.end !== null) query.set("end", span.end);
  return query;
};

async function draw() {
  const view = one("view").value;
  const query = asked();
  query.set("view", view);
  const number = ++latest;
  const arrived = await get(`${base}/signal?${query}`);
  if (number !== latest) return; // something else has been chosen since
  drawn = arrived;
  const what = `${one("channel").value} of ${one("file").value}`;
  const from = `from ${drawn.start.toPrecision(4)} to ${drawn.end.toPrecision(4)} ${drawn.unit}`;
  let says;
  if (view === "time") {
    const low = Math.min(...drawn.low.filter((v) => v !== null)), high = Math.max(...drawn.high.filter((v) => v !== null));
    says = `${what} ${from}, between ${low.toPrecision(4)} and ${high.toPrecision(4)}, ${drawn.gaps.length || "no"} ${drawn.gaps.length === 1 ? "gap" : "gaps"}${drawn.gaps.length ? " (dotted)" : ""}`;
    chart = frame({ x: [drawn.start, drawn.end], y: [low, high], xTitle: drawn.unit, yTitle: one("channel").value, says });
    band(chart, drawn.at, drawn.low, drawn.high);
    for (const gap of drawn.gaps) chart.svg.append(shape("line", { x1: chart.place.x(gap), x2: chart.place.x(gap), y1: chart.place.top, y2: chart.place.bottom, class: "gap" }));
  } else if (view === "spectrum") {
    const loudest = drawn.level.indexOf(Math.max(...drawn.level.slice(1)));
    says = `Spectrum of ${what} ${from}; loudest at ${drawn.at[loudest].toPrecision(4)} ${drawn.rate ? "Hz" : "per row"}`;
    chart = frame({ x: [0, drawn.at[drawn.at.length - 1]], y: [Math.max(Math.min(...drawn.level), Math.max(...drawn.level) - 90), Math.max(...drawn.level)], xTitle: drawn.rate ? "Hz" : "per row", yTitle: "dB", says });
    curve(chart, drawn.at, drawn.level);
  } else {
    says = `Spectrogram of ${what} ${from}, up to ${drawn.highest.toPrecision(4)} ${drawn.rate ? "Hz" : "per row"}`;
    chart = cells(drawn, says);
  }
  one("signal").replaceChildren(chart.svg);
  one("signal-says").textContent = `${says}.`;
  query.set("format", "csv");
  one("signal-csv").href = `${base}/signal?${query}`;
  one("sound").src = `${base}/sound?${asked()}`;
  if (view !== "spectrum") {
    select(chart);
    showMarks();
  }
}

// Dragging over the signal chooses a stretch.
function select(on) {
  const box = shape("rect", { y: on.place.top, height: on.place.bottom - on.place.top, x: 0, width: 0, class: "mark" });
  on.svg.append(box);
  let begin = null;
  const at = (event) => {
    const bounds = on.svg.getBoundingClientRect();
    const place = ((event.clientX - bounds.left) / bounds.width) * on.place.width;
    return Math.min(on.place.right, Math.max(on.place.left, place));
  };
  on.svg.addEventListener("pointerdown", (event) => {
    begin = at(event);
    on.svg.setPointerCapture(event.pointerId);
  });
  on.svg.addEventListener("pointermove", (event) => {
    if (begin === null) return;
    const [low, high] = [begin, at(event)].sort((a, b) => a - b);
    box.setAttribute("x", low);
    box.setAttribute("width", high - low);
    one("mark-start").value = on.place.value(low).toFixed(4);
    one("mark-end").value = on.place.value(high).toFixed(4);
  });
  for (const kind of ["pointerup", "pointercancel"]) on.svg.addEventListener(kind, () => (begin = null));
}

function showMarks() {
  try {
    localStorage.setItem(place, JSON.stringify(marks));
  } catch {
    // a browser that keeps nothing: marks stay as long as the page
  }
  one("marks").replaceChildren(...marks.map((mark, n) =>
    made("li", {}, `${mark.label}: ${mark.file}, ${mark.start} to ${mark.end} s `, made("button", { type: "button", onclick: () => {
      marks.splice(n, 1);
      showMarks();
    } }, `Remove mark ${n + 1}`))));
  one("use-marks").hidden = !marks.length;
  if (!chart || one("view").value === "spectrum") return;
  for (const old of chart.svg.querySelectorAll(".kept")) old.remove();
  for (const mark of marks.filter((each) => each.file === one("file").value)) {
    const left = Math.max(chart.place.left, chart.place.x(mark.start)), right = Math.min(chart.place.right, chart.place.x(mark.end));
    if (right <= left) continue;
    chart.svg.append(shape("rect", { x: left, width: right - left, y: chart.place.top, height: chart.place.bottom - chart.place.top, class: "mark kept" }));
    chart.svg.append(shape("text", { x: left + 3, y: chart.place.top + 12, class: "kept" }, mark.label));
  }
}

if (one("viewer")) {
  for (const id of ["file", "channel", "view"]) {
    one(id).addEventListener("change", () => {
      if (id === "file") span = { start: 0, end: null };
      guarded(null, draw);
    });
  }
  on("zoom", async () => {
    const [start, end] = [Number(one("mark-start").value), Number(one("mark-end").value)];
    if (!(end > start)) throw new Error("Drag over a stretch of the signal first, or type its times.");
    span = { start, end };
    await draw();
  });
  on("whole", async () => {
    span = { start: 0, end: null };
    await draw();
  });
  on("mark", async () => {
    const mark = { file: one("file").value, start: Number(one("mark-start").value), end: Number(one("mark-end").value), label: one("mark-label").value.trim() };
    if (!(mark.end > mark.start)) throw new Error("Drag over a stretch of the signal first, or type its times.");
    if (!mark.label) throw new Error("Give the stretch a label.");
    marks.push(mark);
    showMarks();
  });
  on("use-marks", async () => {
    const made = await post(`${base}/marks`, { marks, text: one("config").value });
    one("config").value = made.text;
    one("config").closest("details").open = true;
    complain(made.complaint);
  });
  guarded(null, draw);
  redrawn(() => guarded(null, draw));
}

// The config: what is chosen is written into it, so that it says all that will be done.
function complain(text) {
  const place = one("complaint");
  place.textContent = text ?? "";
  place.hidden = !text;
}
const choices = () => Object.fromEntries([...one("choices").querySelectorAll("[name]")].map((field) => [field.name, field.value]));
if (one("choices")) {
  one("choices").addEventListener("change", () => guarded(null, async () => {
    const made = await post("/api/config", { text: one("config").value, choices: choices() });
    one("config").value = made.text;
    complain(made.complaint);
  }));
}
const start = (kind, more) => async () => {
  const job = await post("/api/train", { name, kind, text: one("config").value, choices: choices(), ...more() });
  location.href = `/jobs/${job.id}`;
};
on("train", start("run", () => ({})));
on("search", start("search", () => ({ trials: one("trials").value })));
