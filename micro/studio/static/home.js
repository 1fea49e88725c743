// The start: files that are dropped or chosen become a set of recordings, which is then looked at.
import { duration, get, guarded, made, one, post, upload } from "./common.js";

const plain = (list) => [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

// All files below what was dropped, folders included.
async function dropped(items) {
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push({ file, path: entry.fullPath.slice(1) });
    } else if (entry.isDirectory) {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) break;
        for (const each of some) await walk(each);
      }
    }
  };
  for (const entry of [...items].map((item) => item.webkitGetAsEntry()).filter(Boolean)) await walk(entry);
  return found;
}

// The folder that all files lie in is the set's name and no part of their paths.
function withoutTop(files) {
  const tops = new Set(files.map((each) => each.path.split("/")[0]));
  if (tops.size !== 1 || files.some((each) => !each.path.includes("/"))) return { top: null, files };
  return { top: [...tops][0], files: files.map((each) => ({ ...each, path: each.path.split("/").slice(1).join("/") })) };
}

async function take(all) {
  const given = all.filter((each) => !each.path.split("/").some((part) => part.startsWith(".")));
  if (!given.length) throw new Error("There is no file in what was dropped.");
  const { top, files } = withoutTop(given);
  const wanted = one("set-name").value || top || files[0].path.split("/").pop().replace(/\.[^.]*$/, "");
  const bar = one("upload-progress");
  bar.hidden = false;
  const { name } = await post("/api/recordings", { name: wanted });
  await upload(name, files, (fraction, path) => {
    bar.value = fraction;
    one("uploading").textContent = path ? `Taking ${path} …` : "Looking at the files …";
  });
  await post(`/api/recordings/${encodeURIComponent(name)}/look`);
  location.href = `/recordings/${encodeURIComponent(name)}`;
}

const drop = one("drop");
for (const kind of ["dragover", "dragenter"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const items = event.dataTransfer.items;
  const reading = dropped(items);
  guarded(null, async () => take(await reading));
});
for (const id of ["pick-folder", "pick-files"]) {
  one(id).addEventListener("change", (event) => guarded(null, () => take(plain(event.target.files))));
}

const filter = one("filter");
if (filter) {
  filter.addEventListener("input", () => {
    const rows = [...document.querySelectorAll("#runs tbody tr")];
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    one("shown").textContent = `${shown} of ${rows.length} runs`;
  });
}

for (const button of document.querySelectorAll("[data-fleet]")) {
  button.addEventListener("click", () => guarded(button, async () => {
    const job = await post("/api/fleet", { config: button.dataset.fleet });
    location.href = `/jobs/${job.id}`;
  }));
}

const standing = (job) => [job.fraction === null ? "" : `, ${Math.round(100 * job.fraction)} %`, job.stage ? `, ${job.stage}` : "", job.remaining === null ? "" : `, ${duration(job.remaining)} left`].join("");

// What is at work, also what another user has started.
let before = null;
setInterval(async () => {
  if (document.hidden) return;
  let jobs;
  try {
    jobs = await get("/api/jobs?active=1");
  } catch {
    return; // the studio is being started again
  }
  const now = JSON.stringify(jobs.map((job) => [job.id, job.state, job.stage, Math.round(100 * job.fraction)]));
  if (before !== null && now !== before) {
    one("active").replaceChildren(
      ...(jobs.length ? jobs.map((job) => made("p", {}, made("a", { href: `/jobs/${job.id}` }, `${job.kind} ${job.about}`), " ", made("span", { class: `state ${job.state}` }, job.state), standing(job)))
        : [made("p", { class: "quiet" }, "Nothing runs and nothing waits. ", made("a", { href: "/" }, "Show what has ended"))]),
    );
  }
  before = now;
}, 2000);
