// A finished run: its firmware, another threshold, misjudged windows, and new recordings.
import { duration, ended, get, guarded, made, on, one, percent, post, short, upload } from "./common.js";
import { band, curve, frame, lines, redrawn, shape } from "./draw.js";
import { recorder } from "./microphone.js";

const { run, recordings, threshold: hasThreshold } = one("main").dataset;
const base = `/api/runs/${encodeURIComponent(run)}`;

on("make-project", async () => {
  const job = await post(`${base}/firmware`, { board: one("project").value });
  const line = made("p", {}, "Writing the project … ", made("code", {}, job.command));
  one("projects").prepend(line);
  const end = await ended(job.id);
  if (end.state !== "done") throw new Error(`The project was not written: ${end.log.trim().split("\n").pop()}`);
  line.replaceChildren(made("a", { class: "button", download: "", href: `/api/jobs/${job.id}/firmware.zip` }, `Download ${job.words[job.words.indexOf("--out") + 1]}.zip`), " ", made("code", {}, job.command));
});

// The threshold: what each value would do is computed at once, and looked up while it moves.
let found = null;
async function thresholds() {
  found = await get(`${base}/threshold`);
  const slider = one("threshold");
  slider.max = found.thresholds.length - 1;
  slider.value = found.thresholds.indexOf(found.now);
  moved();
}

function moved() {
  const n = Number(one("threshold").value), value = found.thresholds[n];
  one("threshold-value").textContent = `${short(value)}${value === found.now ? " (as trained)" : ""}`;
  one("windows-above").textContent = percent(found.windows_above[n]);
  const day = found.alarms_a_day[n];
  const least = found.healthy_seconds === null ? null : 86400 / found.healthy_seconds;
  one("alarms-a-day").textContent = day === null ? "–" : day === 0 && least !== null ? `below ${short(least)}` : short(day);
  one("counted-on").textContent = found.healthy_seconds === null ? "" : `counted on ${duration(found.healthy_seconds)} of held-out healthy windows`;
  one("found").textContent = found.found[n] === null ? "score them below" : percent(found.found[n]);
  one("delay").textContent = found.delay[n] === null ? "–" : duration(found.delay[n]);
  const says = `Above ${short(value)} are ${percent(found.windows_above[n])} of the healthy windows`;
  const chart = frame({ x: [found.thresholds[0], found.thresholds[found.thresholds.length - 1]], y: [0, 1], xTitle: "threshold", yTitle: "fraction", says });
  curve(chart, found.thresholds, found.windows_above);
  if (found.faulty_recordings) curve(chart, found.thresholds, found.found, true);
  chart.svg.append(shape("line", { x1: chart.place.x(value), x2: chart.place.x(value), y1: chart.place.top, y2: chart.place.bottom, class: "now" }));
  one("trade").replaceChildren(chart.svg);
  one("trade-says").textContent = `${says} (line)${found.faulty_recordings ? `, and ${percent(found.found[n])} of the faulty recordings are found (dashes)` : ""}.`;
}
if (hasThreshold === "1") {
  one("threshold").addEventListener("input", moved);
  guarded(null, thresholds);
  redrawn(() => found && moved());
  on("with-threshold", async () => {
    const rate = found.windows_above[Number(one("threshold").value)];
    const { text, rate: asked } = await post(`${base}/threshold`, { rate });
    one("threshold-config").value = text;
    one("threshold-label").textContent = `The config with detect.false_alarm_rate = ${asked}`;
    for (const id of ["threshold-config", "threshold-label", "train-threshold"]) one(id).hidden = false;
  });
  on("train-threshold", async () => {
    const job = await post("/api/train", { name: recordings || "run", kind: "run", text: one("threshold-config").value });
    location.href = `/jobs/${job.id}`;
  });
}

// Windows that the student takes for something else than they are.
async function misjudged() {
  const answer = await get(`${base}/misjudged`);
  one("score-tested").hidden = !answer.can_score;
  if (!answer.windows) {
    one("misjudged-says").textContent = answer.can_score ? "They are not scored yet." : "The recordings of this run are not in the studio's folder.";
    return;
  }
  one("misjudged-says").textContent = `${answer.count} of ${answer.windows} windows of the tested recordings; the furthest from the threshold first. Healthy recordings of which parts were trained on are among them.`;
  one("misjudged").replaceChildren(...answer.wrong.slice(0, 30).map((window) => row(window, answer)));
}

function row(window, answer) {
  const when = window.begin === null ? `row ${window.row}` : `${window.begin.toFixed(2)} to ${window.end.toFixed(2)} s`;
  const place = made("div");
  const details = made("details", { ontoggle: () => details.open && !place.hasChildNodes() && guarded(null, () => look(window, answer, place)) },
    made("summary", {}, `${window.file}, ${when}: is ${window.is}, taken for ${window.said}${window.score === null ? "" : `, score ${short(window.score)}`}`), place);
  return details;
}

async function look(window, answer, place) {
  const start = window.begin ?? window.row, end = window.end ?? start + 1;
  for (const channel of answer.channels.slice(0, 4)) {
    const query = new URLSearchParams({ file: window.file, channel, start, end });
    const own = `/api/recordings/${encodeURIComponent(answer.recordings)}`;
    const drawn = await get(`${own}/signal?${query}`);
    const low = Math.min(...drawn.low.filter((v) => v !== null)), high = Math.max(...drawn.high.filter((v) => v !== null));
    const says = `${channel} of ${window.file} from ${short(start)} to ${short(end)} s, between ${short(low)} and ${short(high)}`;
    const chart = frame({ x: [drawn.start, drawn.end], y: [low, high], xTitle: drawn.unit, yTitle: channel, says });
    if (drawn.at.length < 400) curve(chart, drawn.at, drawn.high); else band(chart, drawn.at, drawn.low, drawn.high);
    place.append(made("figure", { "aria-label": says }, chart.svg, made("figcaption", {}, says)), made("audio", { controls: "", preload: "none", src: `${own}/sound?${query}`, "aria-label": `Sound: ${says}` }));
  }
}
on("score-tested", async () => {
  const job = await post(`${base}/score`);
  one("score-state").textContent = `scoring: ${job.command.slice(0, 80)} …`;
  const end = await ended(job.id);
  one("score-state").textContent = end.state === "done" ? "" : end.log.trim().split("\n").pop();
  await misjudged();
  if (hasThreshold === "1") await thresholds();
});
guarded(null, misjudged);

const MOST_DRAWN = 12;
// A file's scores over time with the run's threshold.
function figureOf({ name, at, values }, threshold, unit) {
  const above = threshold === null ? null : values.filter((value) => value > threshold).length;
  const says = `${name}: ${values.length} windows, scores from ${short(Math.min(...values))} to ${short(Math.max(...values))}${above === null ? "" : `; ${above} above the threshold, ${short(threshold)} (dashes)`}`;
  const chart = lines([{ name, at, values }, ...(threshold === null ? [] : [{ name: "threshold", at: [at[0], at[at.length - 1]], values: [threshold, threshold] }])], { xTitle: unit, yTitle: "score", says, keys: false });
  return made("figure", { "aria-label": says }, chart.svg, made("figcaption", {}, `${says}.`));
}

// New recordings, scored by the int8 student as the firmware would.
async function score(name) {
  const job = await post(`${base}/score`, { recordings: name });
  one("try-state").textContent = "scoring …";
  const end = await ended(job.id);
  one("try-state").replaceChildren(made("a", { href: `/jobs/${job.id}` }, job.command.slice(0, 100)));
  if (end.state !== "done") throw new Error(end.log.trim().split("\n").pop());
  const { scores, threshold, notes } = await get(`/api/jobs/${job.id}/scores`);
  const series = new Map();
  const results = new Map();
  scores.forEach((window, n) => {
    const key = window.file;
    if (!results.has(key)) results.set(key, new Map());
    const counts = results.get(key);
    counts.set(window.result, (counts.get(window.result) ?? 0) + 1);
    if (window.score === null) return;
    if (!series.has(key)) series.set(key, { name: key, at: [], values: [] });
    series.get(key).at.push(window.end ?? n);
    series.get(key).values.push(window.score);
  });
  const drawn = [...series.values()].slice(0, MOST_DRAWN);
  const unit = scores.every((window) => window.end === null) ? "window" : "s";
  one("try-figures").replaceChildren(...drawn.map((each) => figureOf(each, threshold, unit)));
  one("try-says").textContent = `${scores.length} windows of ${results.size} files scored${series.size > drawn.length ? `; ${drawn.length} files are drawn` : ""}.`;
  // What is doubtful about the files, and when alarms are reported, as the command says it.
  one("try-notes").replaceChildren(...notes.map((note) => made("li", {}, note)));
  one("try-table").replaceChildren(made("table", {}, made("thead", {}, made("tr", {}, made("th", { scope: "col" }, "file"), made("th", { scope: "col" }, "windows by result"))),
    made("tbody", {}, ...[...results].map(([file, counts]) => made("tr", {}, made("th", { scope: "row" }, file), made("td", { class: "words" }, [...counts].map(([what, count]) => `${what} ${count}`).join(", ")))))));
}
on("try", () => score(one("try-set").value));
async function take(files) {
  const { name } = await post("/api/recordings", { name: `new-${run}` });
  await upload(name, files.map((file) => ({ file, path: file.name })), (fraction, path) => (one("try-state").textContent = path && `taking ${path} …`));
  await score(name);
}
one("try-files").addEventListener("change", (event) => guarded(null, async () => {
  if (event.target.files.length) await take([...event.target.files]);
}));
const microphone = one("microphone");
if (microphone) {
  recorder(microphone, () => Number(microphone.dataset.rate), one("try-state"), (file) => take([file]));
}
