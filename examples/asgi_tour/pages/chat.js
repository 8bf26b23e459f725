// The chat room: one WebSocket, which comes back by itself after 0.5, 1, 2 ... at most 10 seconds.
"use strict";

const byId = (id) => document.getElementById(id);
const FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 10_000;
const known = new Set();  // ids of what is on the page: whoever comes back is told some of it again
let socket = null, waitMs = FIRST_WAIT_MS, timer = 0;

function show(state, text) {
  byId("state").dataset.state = state;
  byId("state").textContent = text;
  byId("send").disabled = state !== "open";
}

function connect() {
  clearTimeout(timer);
  const address = new URL("socket", document.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  address.searchParams.set("name", byId("name").value);
  socket = new WebSocket(address);
  socket.onopen = () => { waitMs = FIRST_WAIT_MS; show("open", "Connected"); };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.kind === "people") list(message.names); else add(message);
  };
  socket.onclose = () => {
    show("lost", "Connection lost. Trying again");
    byId("people").replaceChildren();
    timer = setTimeout(connect, waitMs * (0.75 + Math.random() / 2));  // not everyone at once
    waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
  };
}

function list(names) {
  byId("people").replaceChildren(...names.map((name) => element("li", name)));
}

function add({ id, name, text, at }) {
  if (known.has(id)) return;
  known.add(id);
  const item = document.createElement("li");
  const time = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  item.append(element("p", text), element("span", `${name}, ${time}`, "by"));
  byId("said").append(item);
  byId("said").scrollTop = byId("said").scrollHeight;
}

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

byId("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("enter").hidden = true;
  byId("room").hidden = false;
  byId("text").focus();
  connect();
});

byId("say").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return;  // what was typed stays where it is
  socket.send(byId("text").value);
  byId("text").value = "";
});

addEventListener("online", () => { if (socket?.readyState === WebSocket.CLOSED) connect(); });
addEventListener("pagehide", () => { if (socket) { socket.onclose = null; socket.close(); } });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
