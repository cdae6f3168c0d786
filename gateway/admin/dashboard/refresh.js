// Replaces the state every two seconds; says since when there is none. Without it the page reloads itself.
"use strict";
const state = document.getElementById("state");
const notice = document.getElementById("notice");
let since = null;
async function refresh() {
  try {
    const answer = await fetch("/fragment" + location.search, { cache: "no-store" });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) throw new Error("HTTP " + answer.status);
    state.innerHTML = await answer.text();
    since = null;
    notice.hidden = true;
  } catch (error) {
    since = since || new Date();
    notice.textContent = notice.dataset.text + " " + since.toISOString().slice(11, 19) + " UTC";
    notice.hidden = false;
  }
  setTimeout(refresh, 2000);
}
setTimeout(refresh, 2000);
