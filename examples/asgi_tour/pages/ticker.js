// The tide gauge. An EventSource reconnects automatically, with the id of its last event.
"use strict";

const byId = (id) => document.getElementById(id);
const SHOWN = 60, LISTED = 12;
const levels = [];
let last = null, opened = 0;

function show(state, text) {
  byId("state").dataset.state = state;
  byId("state").textContent = text;
}

const source = new EventSource("events");
source.addEventListener("open", () => {
  show("open", "Connected");
  byId("reconnects").textContent = opened++;
});
source.addEventListener("error", () => show("lost", "Connection lost. Reconnecting"));

source.addEventListener("reading", ({ lastEventId, data }) => {
  const id = Number(lastEventId);
  const { at, level_m } = JSON.parse(data);
  if (last !== null) byId("missed").textContent = Number(byId("missed").textContent) + id - last - 1;
  last = id;
  byId("count").textContent = Number(byId("count").textContent) + 1;
  byId("level").textContent = level_m.toFixed(2);
  addRow([lastEventId, at.slice(11, 19), level_m.toFixed(2)]);
  levels.push(level_m);
  if (levels.length > SHOWN) levels.shift();
  draw();
});

function addRow(cells) {
  const row = byId("readings").insertRow(0);
  cells.forEach((text) => { row.insertCell().textContent = text; });
  row.cells[0].className = "mono";
  row.cells[2].className = "number";
  if (byId("readings").rows.length > LISTED) byId("readings").deleteRow(-1);
}

function draw() {
  const low = Math.min(...levels) - 0.1, high = Math.max(...levels) + 0.1;
  const point = (level, index) =>
    `${(600 * (index + SHOWN - levels.length)) / (SHOWN - 1)} ${110 - (100 * (level - low)) / (high - low)}`;
  const line = `M${levels.map(point).join("L")}`;
  byId("curve").setAttribute("d", line);
  byId("under").setAttribute("d", `${line}V120H${(600 * (SHOWN - levels.length)) / (SHOWN - 1)}Z`);
}

addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
