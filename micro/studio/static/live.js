// Recording from a board or a sensor: what is asked for, and what comes.
import { guarded, made, on, one, post, short, upload } from "./common.js";
import { lines } from "./draw.js";
import { recorder } from "./microphone.js";

const value = (id) => one(id).value.trim();

function samples(now) {
  const found = now.samples;
  one("samples").hidden = !found || found.at.length < 2;
  if (one("samples").hidden) return;
  const series = found.channels.map((name, n) => ({ name, at: found.at, values: found.values[n] }));
  const known = series.filter((each) => each.values[each.values.length - 1] !== null);
  const last = known.map((each) => `${each.name} ${short(each.values[each.values.length - 1])}`).join(", ");
  const says = `The newest samples of ${found.channels.join(", ")}${found.others ? ` and ${found.others} more` : ""}; the last: ${last}`;
  one("samples-chart").replaceChildren(lines(known, { xTitle: found.time, yTitle: "", says }).svg);
  one("samples-says").textContent = `${says}.`;
}

function scores(now) {
  const found = now.scores;
  one("scores").hidden = !found || found.at.length < 2 || found.score.every((each) => each === null);
  if (one("scores").hidden) return;
  const kept = found.at.map((at, n) => [at, found.score[n]]).filter(([, score]) => score !== null);
  const at = kept.map(([each]) => each);
  const series = [{ name: "score", at, values: kept.map(([, score]) => score) }];
  const limit = found.threshold;
  if (limit !== null && limit !== undefined) series.push({ name: "threshold", at, values: at.map(() => limit) });
  const differs = found.differs ? ` The board had another score in ${found.differs} of these windows.` : "";
  const says = `Scores of ${found.run}: the last is ${short(kept[kept.length - 1][1])}${series.length > 1 ? `, the threshold ${short(limit)}` : ""}; ${found.status}`;
  one("scores-chart").replaceChildren(lines(series, { xTitle: "time", yTitle: "score", says }).svg);
  one("scores-says").textContent = `${says}.${differs}`;
}

function show(now) {
  one("state").textContent = now.state;
  one("state").className = `state ${now.state}`;
  one("file").textContent = now.file ?? "";
  one("count").textContent = now.known.samples ?? "–";
  one("lost").textContent = now.known.lost ?? "–";
  one("damaged").textContent = now.known.damaged ?? "–";
  one("speed").textContent = short(now.known.rate_measured ?? now.known.rate);
  one("stop").hidden = !now.active;
  one("log").textContent = now.log;
  samples(now);
  scores(now);
}

const { job } = one("main").dataset;
if (job) {
  on("stop", () => post(`/api/jobs/${job}/stop`));
  const events = new EventSource(`/api/live/${job}/events`);
  events.onmessage = (event) => {
    const now = JSON.parse(event.data);
    if (!now.active) events.close();
    show(now);
  };
} else {
  one("record").addEventListener("submit", (event) => {
    event.preventDefault();
    guarded(one("start"), async () => {
      const asked = Object.fromEntries(["source", "name", "label", "unit", "duration", "rate", "channels", "run"].map((id) => [id, value(id)]));
      location.href = `/live/${(await post("/api/live", asked)).id}`;
    });
  });
  // The set and the label of a recording are those of the form when it begins.
  let into = null;
  recorder(one("microphone"), () => {
    if (!value("name")) throw new Error("Say into which recordings: a name above.");
    into = { name: value("name"), label: value("label"), rate: Number(value("sound-rate")) };
    return into.rate;
  }, one("sound-state"), async (file) => {
    const { name, label, rate } = into;
    const known = [...one("sets").options].some((set) => set.value === name);
    const set = known ? name : (await post("/api/recordings", { name })).name;
    if (!known) one("sets").append(made("option", { value: set }));
    one("name").value = set;
    const [path] = await upload(set, [{ file, path: label ? `${label}/${file.name}` : file.name }], () => {});
    one("sounds").prepend(made("li", {}, made("a", { href: `/recordings/${encodeURIComponent(set)}` }, `${set}/${path}`), `, ${((file.size - 44) / 2 / rate).toFixed(1)} s`));
  });
}
