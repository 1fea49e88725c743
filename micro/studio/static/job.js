// A job as it goes on: stage, losses, what is left, memory; stopped and gone on with.
import { duration, follow, made, memory, on, one, post } from "./common.js";
import { lines, redrawn } from "./draw.js";

const LOSSES = { loss: "loss in training", val_loss: "loss on validation windows" };
const { job: id, kind, about } = one("main").dataset;

function result(now) {
  if (now.state !== "done") return null;
  if (kind === "run") return `/runs/${encodeURIComponent(about)}`;
  if (["look", "record"].includes(kind)) return `/recordings/${encodeURIComponent(about)}`;
  if (["new-firmware", "score"].includes(kind)) return `/runs/${encodeURIComponent(about.split("/")[0])}`;
  return null;
}

function show(now) {
  one("state").textContent = now.state;
  one("state").className = `state ${now.state}`;
  one("stage").textContent = now.stage ?? "";
  if (now.fraction !== null) one("fraction").value = now.fraction;
  one("percent").textContent = now.fraction === null ? "–" : `${Math.round(100 * now.fraction)} %`;
  one("remaining").textContent = now.state === "running" ? (now.remaining === null ? "not known yet" : duration(now.remaining)) : "–";
  one("memory").textContent = now.state === "running" ? memory(now.memory_kib) : now.peak_kib ? `${memory(now.peak_kib)} at most` : "–";
  one("code").textContent = now.code ?? "–";
  const log = one("log");
  if (log.textContent !== now.log) {
    const below = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.textContent = now.log;
    if (below) log.scrollTop = log.scrollHeight;
  }
  one("stop").hidden = !now.active;
  one("kill").hidden = now.state !== "running";
  one("resume").hidden = !["stopped", "failed", "lost"].includes(now.state);
  const link = result(now);
  if (link) {
    one("result").href = link;
    one("result").hidden = false;
  }
  one("left").hidden = !now.left;
  one("left").textContent = `Still ahead: ${now.left}.`;
  one("next").hidden = !now.next.length;
  one("next").replaceChildren("After it: ", ...now.next.flatMap((each, n) => [n ? ", then " : "", made("a", { href: `/jobs/${each.id}` }, `${each.kind} ${each.about}`)]), ".");
  latest = now.curves;
  curves(latest);
}

let latest = [];
redrawn(() => curves(latest));
function curves(found) {
  one("curves").hidden = !found.length;
  if (!found.length) return;
  // The stage that trains now: its losses and no others.
  const { stage } = found[found.length - 1];
  const series = found.filter((each) => each.stage === stage).map((each) => ({ name: LOSSES[each.name] ?? each.name, at: each.epochs, values: each.values }));
  const says = `${stage}: ${series.map((each) => `${each.name} ${each.values[each.values.length - 1].toPrecision(4)} after epoch ${each.at[each.at.length - 1]}`).join(", ")}`;
  one("chart").replaceChildren(lines(series, { xTitle: "epoch", yTitle: "loss", says }).svg);
  one("curves-says").textContent = `${says}.`;
}

on("stop", () => post(`/api/jobs/${id}/stop`));
on("kill", () => post(`/api/jobs/${id}/stop`, { kill: true }));
on("resume", async () => {
  const job = await post(`/api/jobs/${id}/resume`);
  location.href = `/jobs/${job.id}`;
});
on("chosen", async () => {
  const job = await post(`/api/jobs/${id}/chosen`);
  location.href = `/jobs/${job.id}`;
});
// A search, a fleet and a comparison have a page of their own when they have ended.
let wasActive = one("main").dataset.active === "1";
follow(id, (now) => {
  show(now);
  if (wasActive && !now.active && ["search", "fleet", "compare"].includes(kind)) location.reload();
  wasActive = now.active;
});
