// Looks every two seconds and swaps the parts that changed. Without it the page reloads itself.
"use strict";
const EVERY_MS = 2000;
const PATIENCE_MS = 4000; // a gateway that hangs keeps a connection open and answers nothing
const OLD_MS = 5000;
const state = document.getElementById("state");
const notice = document.getElementById("notice");
const age = document.getElementById("age");
const box = notice.parentElement;
let shown = Date.now();
let gone = null;

// What somebody marks to copy, or types into, is not taken from under their hands.
function busy() {
  const chosen = document.getSelection();
  if (chosen && !chosen.isCollapsed && chosen.rangeCount && chosen.getRangeAt(0).intersectsNode(state)) return true;
  const field = document.activeElement;
  return state.contains(field) && field.matches("input, select, textarea");
}

function swap(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  for (const part of fresh.content.querySelectorAll("[data-part]")) {
    const now = state.querySelector('[data-part="' + part.dataset.part + '"]');
    if (!now) { location.reload(); return; } // another version of the gateway answers
    if (now.isEqualNode(part)) continue;
    const aside = Array.from(now.querySelectorAll(".scroll"), (each) => each.scrollLeft);
    now.replaceWith(part);
    part.querySelectorAll(".scroll").forEach((each, place) => { each.scrollLeft = aside[place] || 0; });
  }
  document.title = state.querySelector("[data-title]").dataset.title;
}

function say(text) {
  if (notice.textContent !== text) notice.textContent = text;
}

// How old it is, is said as soon as it is old: text that changes every second is not read aloud.
function tell() {
  const old = Date.now() - shown;
  const stale = gone !== null || old >= OLD_MS;
  state.classList.toggle("stale", stale);
  box.hidden = !stale;
  if (!stale) return;
  say(gone === null ? notice.dataset.held : notice.dataset.gone + " " + gone.toISOString().slice(11, 19) + " UTC.");
  age.textContent = age.dataset.text.replace("{seconds}", Math.round(old / 1000));
}

async function look() {
  const patience = new AbortController();
  const limit = setTimeout(() => patience.abort(), PATIENCE_MS);
  const asked = new Date();
  try {
    const answer = await fetch("/fragment" + location.search, { cache: "no-store", signal: patience.signal });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) throw new Error("HTTP " + answer.status);
    const html = await answer.text();
    gone = null;
    if (!busy()) { swap(html); shown = Date.now(); }
  } catch (error) {
    gone = gone || asked;
  } finally {
    clearTimeout(limit);
  }
  tell();
  setTimeout(look, EVERY_MS);
}

setInterval(tell, 1000);
setTimeout(look, EVERY_MS);
