// What all pages need: elements made of text alone, requests, and how numbers are said.

export const one = (id) => document.getElementById(id);

export function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children); // strings become text, whatever they hold
  return element;
}

export function problem(text) {
  const place = one("problem");
  place.textContent = text;
  place.hidden = !text;
  if (text) place.scrollIntoView({ block: "nearest" });
}

async function answer(response) {
  if (response.ok) return response.json();
  const text = await response.text();
  let said = text;
  try {
    said = JSON.parse(text).error;
  } catch {
    // a plain sentence
  }
  throw new Error(said || `the studio answers ${response.status}`);
}

export const get = async (path) => answer(await fetch(path));

export const post = async (path, body = {}) =>
  answer(await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));

// Run what a button starts: the button waits, and what went wrong is said.
export async function guarded(button, work) {
  problem("");
  const focused = button && document.activeElement === button;
  if (button) button.disabled = true;
  try {
    return await work();
  } catch (error) {
    problem(error instanceof TypeError ? "The studio does not answer; is it still running?" : error.message);
    return null;
  } finally {
    if (button) button.disabled = false;
    // A button that waits loses the focus, and whoever types would have to look for it.
    if (focused && document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}

export const on = (id, work) => {
  const button = one(id);
  if (button) button.addEventListener("click", () => guarded(button, work));
};

// Snapshots of a job until it has ended; the browser connects again by itself when the studio was started again.
export function follow(id, changed) {
  const events = new EventSource(`/api/jobs/${id}/events`);
  events.onmessage = (event) => {
    const now = JSON.parse(event.data);
    if (!now.active) events.close();
    changed(now);
  };
  return events;
}

export const ended = (id, changed = () => {}) =>
  new Promise((resolve) => follow(id, (now) => {
    changed(now);
    if (!now.active) resolve(now);
  }));

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${seconds < 10 ? seconds.toPrecision(2) : Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export const memory = (kib) =>
  kib === null || kib === undefined ? "–" : kib < 2 ** 20 ? `${Math.round(kib / 1024)} MiB` : `${(kib / 2 ** 20).toFixed(1)} GiB`;

export const percent = (fraction) => (fraction === null || fraction === undefined ? "–" : `${(100 * fraction).toFixed(1)} %`);

export const short = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 }));

// Send files one after another into a set of recordings; `tell` gets the fraction and the name of each. Gives their paths there.
export async function upload(name, files, tell) {
  const total = files.reduce((sum, each) => sum + each.file.size, 0) || 1;
  const kept = [];
  let sent = 0;
  for (const { file, path } of files) {
    tell(sent / total, path);
    const query = new URLSearchParams({ path });
    kept.push((await answer(await fetch(`/api/recordings/${encodeURIComponent(name)}/file?${query}`, { method: "PUT", body: file }))).path);
    sent += file.size;
  }
  tell(1, "");
  return kept;
}
