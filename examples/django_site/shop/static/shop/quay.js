// The board on the quay: one WebSocket, which comes back by itself when it is lost.
"use strict";

const byId = (id) => document.getElementById(id);
const address = new URL(byId("board").dataset.socket, location.href);
address.protocol = address.protocol.replace("http", "ws");

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const KEPT = 12;
let wait = FIRST_WAIT_MS;
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
    wait = FIRST_WAIT_MS;
    show("open", "Connected");
  });
  socket.addEventListener("message", ({ data }) => fill(JSON.parse(data)));
  socket.addEventListener("close", () => {
    show("lost", wasOpen ? "Connection lost. Trying again" : "No live connection. The board is as it was when you loaded the page. Trying again");
    setTimeout(connect, wait);
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  });
}

function fill({ notices = [], stock = {} }) {
  notices.forEach(addNotice);
  for (const [slug, left] of Object.entries(stock)) setStock(slug, left);
}

function addNotice({ id, author, text }) {
  const list = byId("notices");
  if (list.querySelector(`[data-notice="${id}"]`)) return;
  const item = document.createElement("li");
  const words = document.createElement("p");
  const by = document.createElement("span");
  item.dataset.notice = id;
  words.textContent = text;
  by.className = "by";
  by.textContent = author;
  item.append(words, by);
  list.prepend(item);
  while (list.children.length > KEPT) list.lastElementChild.remove();
  byId("quiet").hidden = true;
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
  void element.offsetWidth; // starts the animation anew
  element.classList.add("new");
}

connect();

// Leave at once when the page goes, also when the browser keeps it for the back button.
addEventListener("pagehide", () => socket.close());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
