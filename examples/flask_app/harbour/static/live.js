// The live board: one EventSource, each kind of event into its place.
"use strict";

const byId = (id) => document.getElementById(id);
const source = new EventSource(byId("board").dataset.events);

function show(state, text) {
  byId("state").dataset.state = state;
  byId("state").textContent = text;
}

function on(kind, fill) {
  source.addEventListener(kind, (event) => {
    byId("count").textContent = Number(byId("count").textContent) + 1;
    fill(JSON.parse(event.data));
  });
}

source.addEventListener("open", () => show("open", "Connected"));
source.addEventListener("error", () => show("lost", "Connection lost. Trying again"));

on("reading", (reading) => {
  byId("wind").textContent = reading.wind_knots.toFixed(1);
  byId("from").textContent = reading.wind_degrees;
  byId("level").textContent = reading.level_m.toFixed(2);
  byId("time").textContent = reading.time.slice(11, 19) + " UTC";
  byId("thread").textContent = reading.thread;
});

on("watchers", (number) => { byId("watchers").textContent = number; });

on("entry", (entry) => {
  byId("quiet")?.remove();
  const item = document.createElement("li");
  const text = document.createElement("p");
  const by = document.createElement("span");
  text.textContent = entry.text;
  by.className = "by";
  by.textContent = entry.author;
  item.append(text, by);
  byId("entries").prepend(item);
});

// Leave at once when the page goes, also when the browser keeps it for the back button.
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
