// The chat room: one WebSocket, which reconnects after 0.5, 1, 2 ... at most 10 seconds.
"use strict";

const byId = (id) => document.getElementById(id);
const MIN_WAIT_MS = 500, MAX_WAIT_MS = 10_000;
const known = new Set();  // ids of the messages on the page: the server repeats some after a reconnect
let socket = null, waitMs = MIN_WAIT_MS, timer = 0;

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
  socket.onopen = () => { waitMs = MIN_WAIT_MS; show("open", "Connected"); };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.kind === "members") showMembers(message.names); else addMessage(message);
  };
  socket.onclose = () => {
    show("lost", "Connection lost. Reconnecting");
    byId("members").replaceChildren();
    timer = setTimeout(connect, waitMs * (0.75 + Math.random() / 2));  // jitter: not all clients at once
    waitMs = Math.min(2 * waitMs, MAX_WAIT_MS);
  };
}

function showMembers(names) {
  byId("members").replaceChildren(...names.map((name) => element("li", name)));
}

function addMessage({ id, name, text, at }) {
  if (known.has(id)) return;
  known.add(id);
  const item = document.createElement("li");
  const time = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  item.append(element("p", text), element("span", `${name}, ${time}`, "by"));
  byId("messages").append(item);
  byId("messages").scrollTop = byId("messages").scrollHeight;
}

function element(tag, text, className = "") {
  const created = document.createElement(tag);
  created.textContent = text;
  created.className = className;
  return created;
}

byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("join").hidden = true;
  byId("room").hidden = false;
  byId("text").focus();
  connect();
});

byId("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return;  // keep the text in the field
  socket.send(byId("text").value);
  byId("text").value = "";
});

addEventListener("online", () => { if (socket?.readyState === WebSocket.CLOSED) connect(); });
addEventListener("pagehide", () => { if (socket) { socket.onclose = null; socket.close(); } });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
