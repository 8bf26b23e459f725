// The notice board: one WebSocket, which reconnects when the connection is lost.
"use strict";

const byId = (id) => document.getElementById(id);
const address = new URL(byId("board").dataset.socket, location.href);
address.protocol = address.protocol.replace("http", "ws");

const MIN_WAIT_MS = 500;
const MAX_WAIT_MS = 8000;
const MAX_NOTICES = 12;
let waitMs = MIN_WAIT_MS;
let wasOpen = false;
let socket;

function show(state, text) {
  byId("state").dataset.state = state;
  byId("state").textContent = text;
}

function connect() {
  socket = new WebSocket(address);
  socket.addEventListener("open", () => {
    wasOpen = true;
    waitMs = MIN_WAIT_MS;
    show("open", "Connected");
  });
  socket.addEventListener("message", ({ data }) => update(JSON.parse(data)));
  socket.addEventListener("close", () => {
    show("lost", wasOpen ? "Connection lost. Reconnecting" : "No live connection. This page shows the board as of when it was loaded. Reconnecting");
    setTimeout(connect, waitMs);
    waitMs = Math.min(2 * waitMs, MAX_WAIT_MS);
  });
}

function update({ notices = [], stock = {} }) {
  notices.forEach(addNotice);
  for (const [slug, left] of Object.entries(stock)) setStock(slug, left);
}

function addNotice({ id, author, text }) {
  const list = byId("notices");
  if (list.querySelector(`[data-notice="${id}"]`)) return;
  const item = document.createElement("li");
  const paragraph = document.createElement("p");
  const by = document.createElement("span");
  item.dataset.notice = id;
  paragraph.textContent = text;
  by.className = "by";
  by.textContent = author;
  item.append(paragraph, by);
  list.prepend(item);
  while (list.children.length > MAX_NOTICES) list.lastElementChild.remove();
  byId("empty").hidden = true;
  flash(item);
}

function setStock(slug, left) {
  const cell = document.querySelector(`[data-stock="${slug}"]`);
  if (!cell || cell.textContent === String(left)) return;
  cell.textContent = left;
  flash(cell);
}

function flash(element) {
  element.classList.remove("new");
  void element.offsetWidth; // restarts the animation
  element.classList.add("new");
}

connect();

// Close immediately when the user leaves the page, even if the browser caches it for the back button.
addEventListener("pagehide", () => socket.close());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
