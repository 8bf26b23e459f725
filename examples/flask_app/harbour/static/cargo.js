// Upload with two progress bars. Without this script the form is posted as multipart/form-data.
"use strict";

const byId = (id) => document.getElementById(id);
const form = byId("upload-form");
const POLL_MS = 150;
const UNITS = ["B", "KiB", "MiB", "GiB"];

function formatSize(bytes) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return (bytes / 1024 ** power).toFixed(power ? 1 : 0) + " " + UNITS[power];
}

function update(bar, bytes, total) {
  const percent = total ? (100 * bytes) / total : 100;
  byId(bar).value = percent;
  byId(bar + "_text").textContent = `${formatSize(bytes)} · ${Math.floor(percent)} %`;
  form.dispatchEvent(new CustomEvent("cargo", { bubbles: true, detail: { bar, percent } }));
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (n) => n.toString(16).padStart(2, "0")).join("");
}

// Poll the server for the number of bytes on disk until the upload ends.
async function poll(key, total, request) {
  while (request.readyState !== XMLHttpRequest.DONE) {
    const answer = await fetch(form.dataset.crates + key).then((response) => response.json()).catch(() => null);
    if (answer && request.readyState !== XMLHttpRequest.DONE) update("written", answer.received_bytes, total);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function finish(text) {
  byId("outcome").textContent = text;
  byId("upload").disabled = false;
  byId("cancel").hidden = true;
}

function showResult(request, file) {
  let answer = {};
  try { answer = JSON.parse(request.responseText); } catch { /* not from the app, but from a proxy */ }
  if (request.status !== 201) return finish(answer.error || `The server responded with ${request.status}.`);
  update("written", answer.size_bytes, file.size);
  finish(`${answer.name} was stored.`);
  return addRow(answer);
}

function addRow(crate) {
  const row = document.createElement("tr");
  const link = document.createElement("a");
  const cells = [document.createElement("td"), document.createElement("td"), document.createElement("td")];
  link.href = `${form.dataset.crates}${crate.key}/content`;
  link.textContent = crate.name;
  cells[0].append(link);
  cells[1].className = "number";
  cells[1].textContent = formatSize(crate.size_bytes);
  cells[2].className = "mono";
  cells[2].title = crate.sha256;
  cells[2].textContent = crate.sha256.slice(0, 10) + "…";
  row.append(...cells);
  const body = byId("files").tBodies[0];
  body.querySelector("[colspan]")?.parentElement.remove();
  body.prepend(row);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const file = byId("file").files[0];
  const key = newKey();
  const request = new XMLHttpRequest();
  request.open("PUT", `${form.dataset.put}${encodeURIComponent(file.name)}?crate=${key}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.setRequestHeader("Accept", "application/json");
  request.upload.addEventListener("progress", (progress) => update("sent", progress.loaded, progress.total));
  request.upload.addEventListener("load", () => update("sent", file.size, file.size));
  request.addEventListener("load", () => showResult(request, file));
  request.addEventListener("error", () => finish("The connection was lost. The file was not stored."));
  request.addEventListener("abort", () => finish("Cancelled. The file was not stored."));
  byId("meters").hidden = false;
  byId("upload").disabled = true;
  byId("cancel").hidden = false;
  byId("cancel").onclick = () => request.abort();
  byId("outcome").textContent = `Uploading ${file.name} …`;
  update("sent", 0, file.size);
  update("written", 0, file.size);
  request.send(file);
  poll(key, file.size, request);
});
