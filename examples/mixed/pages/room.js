// The control room: asks all four apps where they run, and writes through one what another shows.
// The chat itself is chat.js, which is loaded first.
"use strict";

const LOOK_MS = 3000;

async function about(row) {
  if (row.dataset.about) return (await fetch(row.dataset.about)).json();
  const html = await (await fetch(row.dataset.page)).text();
  const foot = new DOMParser().parseFromString(html, "text/html").querySelector("footer.crossing");
  const [thread, pid] = [...foot.querySelectorAll("code")].map((code) => code.textContent);
  const stops = [...foot.querySelectorAll("li")].map((stop) => stop.textContent);
  return { way: stops.slice(1).join(" → "), thread, pid };
}

async function ask(row) {
  try {
    const { way, thread, pid } = await about(row);
    [way, thread, pid].forEach((text, index) => { row.cells[index + 2].textContent = text; });
    return String(pid);
  } catch (error) {
    row.cells[2].textContent = `no answer: ${error.message}`;
    return "?";
  }
}

async function askAll() {
  const pids = new Set(await Promise.all([...byId("parts").rows].map(ask)));
  byId("verdict").textContent = pids.size === 1 && !pids.has("?")
    ? `All four answered from process ${[...pids][0]}.`
    : "Not all of them answered from the same process: there are several workers, or one is missing.";
}

byId("write").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ author: byId("author").value, text: byId("entry").value });
  const headers = { "Content-Type": "application/json" };
  try {
    const response = await fetch("../api/log", { method: "POST", headers, body });
    const { id } = await response.json();
    byId("written").textContent = response.ok ? `Entry ${id} is in the book.` : "The API refused it.";
  } catch (error) {
    byId("written").textContent = `No answer: ${error.message}`;
  }
});

async function look() {
  const response = await fetch("said").catch(() => null);
  if (response?.ok) (await response.json()).forEach(add);
}

if (document.body.dataset.server === "wsgi") {  // nothing to connect to: read along instead
  byId("room").hidden = false;
  look();
  setInterval(look, LOOK_MS);
}
askAll();
