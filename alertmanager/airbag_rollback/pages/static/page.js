// Keeps what is open up to date. Without it the page shows how things stood when it was loaded.
"use strict";

const EVERY = 2000;
const GONE = 5;

function inUse(part) {
  return part.contains(document.activeElement) || part.querySelector("details[open]") !== null;
}

async function refresh(part, said, failures) {
  let again = failures;
  if (!document.hidden && !inUse(part)) {
    try {
      const answer = await fetch(part.dataset.refresh, { redirect: "error", cache: "no-store" });
      if (answer.status === 401) {
        said.textContent = " · logged out, load the page again";
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      if (!inUse(part) && text !== part.dataset.last) {
        part.innerHTML = text;
        part.dataset.last = text;
      }
      again = 0;
      said.textContent = "";
    } catch {
      again = failures + 1;
      if (again === GONE) said.textContent = " · the receiver does not answer; what you see is old";
    }
  }
  setTimeout(refresh, EVERY * (again ? 2 : 1), part, said, again);
}

for (const part of document.querySelectorAll("[data-refresh]")) {
  setTimeout(refresh, EVERY, part, document.getElementById("fresh"), 0);
}
