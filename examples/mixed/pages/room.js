// The control room: shows where each of the four apps runs, and saves an entry through FastAPI that Flask
// shows. The chat itself is chat.js, which is loaded first.
"use strict";

async function about(row) {
  if (row.dataset.about) return (await fetch(row.dataset.about)).json();
  const html = await (await fetch(row.dataset.page)).text();
  const footer = new DOMParser().parseFromString(html, "text/html").querySelector("footer.trace");
  const [thread, pid] = [...footer.querySelectorAll("code")].map((code) => code.textContent);
  const stops = [...footer.querySelectorAll("li")].map((stop) => stop.textContent);
  return { path: stops.slice(1).join(" → "), thread, pid };
}

async function fillRow(row) {
  try {
    const { path, thread, pid } = await about(row);
    [path, thread, pid].forEach((text, index) => { row.cells[index + 2].textContent = text; });
    return String(pid);
  } catch (error) {
    row.cells[2].textContent = `no response: ${error.message}`;
    return "?";
  }
}

async function fillTable() {
  const pids = new Set(await Promise.all([...byId("apps").rows].map(fillRow)));
  byId("verdict").textContent = pids.size === 1 && !pids.has("?")
    ? `All four responded from process ${[...pids][0]}.`
    : "Not all four responded from the same process: there are several workers, or one app failed.";
}

byId("write").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ author: byId("author").value, text: byId("entry").value });
  const headers = { "Content-Type": "application/json" };
  try {
    const response = await fetch("../api/log", { method: "POST", headers, body });
    const { id } = await response.json();
    byId("saved").textContent = response.ok ? `Entry ${id} was saved.` : "The API refused the entry.";
  } catch (error) {
    byId("saved").textContent = `No response: ${error.message}`;
  }
});

fillTable();
