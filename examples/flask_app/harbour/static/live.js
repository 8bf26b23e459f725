// The live board: one EventSource; each kind of event updates its part of the page.
"use strict";

const byId = (id) => document.getElementById(id);
const source = new EventSource(byId("board").dataset.events);

function show(state, text) {
  byId("state").dataset.state = state;
  byId("state").textContent = text;
}

function on(kind, update) {
  source.addEventListener(kind, (event) => {
    byId("count").textContent = Number(byId("count").textContent) + 1;
    update(JSON.parse(event.data));
  });
}

source.addEventListener("open", () => show("open", "Connected"));
source.addEventListener("error", () => show("lost", "Connection lost. Reconnecting"));

on("reading", (reading) => {
  byId("wind").textContent = reading.wind_knots.toFixed(1);
  byId("from").textContent = reading.wind_degrees;
  byId("level").textContent = reading.level_m.toFixed(2);
  byId("time").textContent = reading.time.slice(11, 19) + " UTC";
  byId("thread").textContent = reading.thread;
});

on("watchers", (number) => { byId("watchers").textContent = number; });

on("entry", (entry) => {
  byId("empty")?.remove();
  const item = document.createElement("li");
  const text = document.createElement("p");
  const by = document.createElement("span");
  text.textContent = entry.text;
  by.className = "by";
  by.textContent = entry.author;
  item.append(text, by);
  byId("entries").prepend(item);
});

// Close immediately when the user leaves the page, even if the browser caches it for the back button.
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
