// Live updates: the page's own address, asked for as an event stream, sends its main part whenever that changes.
// Without this script a page shows what was true when it was loaded.
"use strict";
(() => {
  const main = document.getElementById("main");
  const bar = document.getElementById("live");
  if (!main.querySelector("[data-live]") || !window.EventSource) return;
  const button = bar.querySelector("button");
  const status = bar.querySelector("span");
  let source = null;
  let isPaused = false;

  const show = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = document.getElementById(part.id);
      // What somebody reads with the keyboard or has opened stays as it is until they leave it.
      if (!old || old.innerHTML === part.innerHTML || old.contains(document.activeElement)) continue;
      const open = new Set([...old.querySelectorAll("details[open]")].map((one) => one.id));
      old.replaceChildren(...part.childNodes);
      for (const one of old.querySelectorAll("details")) one.open = open.has(one.id);
    }
  };
  const connect = () => {
    source = new EventSource(location.pathname + location.search);
    source.addEventListener("main", (event) => show(JSON.parse(event.data)));
    source.addEventListener("open", () => { status.textContent = ""; });
    source.addEventListener("error", () => {
      status.textContent = source.readyState === EventSource.CLOSED
        ? "Live updates have ended; load the page again." : "The coordinator does not answer; trying again.";
    });
  };
  const stop = () => { source?.close(); source = null; };
  const choose = () => { if (isPaused || document.hidden) stop(); else if (!source) connect(); };

  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.setAttribute("aria-pressed", String(isPaused));
    status.textContent = isPaused ? "Paused." : "";
    choose();
  });
  document.addEventListener("visibilitychange", choose);
  window.addEventListener("pagehide", stop);
  bar.hidden = false;
  choose();
})();
