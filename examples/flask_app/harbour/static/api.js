// Post to and read from the JSON API, and show the raw response.
"use strict";

const form = document.getElementById("try");
const output = document.getElementById("response");

async function send(options) {
  try {
    const response = await fetch(form.dataset.address, options);
    const body = await response.json();
    output.textContent = `HTTP ${response.status}\n${JSON.stringify(body, null, 2)}`;
  } catch (error) {
    output.textContent = `No response: ${error.message}`;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const body = document.getElementById("body").value;
  send({ method: "POST", headers: { "Content-Type": "application/json" }, body });
});
document.getElementById("list").addEventListener("click", () => send({}));
