// The page is whole without this. It writes times as ages, copies commands, and puts in what changes.
"use strict";

(() => {
  const SECOND = 1000;

  /** A time as kubectl writes ages: two units while the first is small. */
  function age(milliseconds) {
    const seconds = Math.max(0, Math.floor(milliseconds / SECOND));
    const [minute, hour, day] = [60, 3600, 86400];
    const two = (big, unit, small, rest) => (small ? `${big}${unit}${small}${rest}` : `${big}${unit}`);
    if (seconds < 2 * minute) return `${seconds}s`;
    if (seconds < 10 * minute) return two(Math.floor(seconds / minute), "m", seconds % minute, "s");
    if (seconds < 3 * hour) return `${Math.floor(seconds / minute)}m`;
    if (seconds < 8 * hour) return two(Math.floor(seconds / hour), "h", Math.floor((seconds % hour) / minute), "m");
    if (seconds < 2 * day) return `${Math.floor(seconds / hour)}h`;
    if (seconds < 8 * day) return two(Math.floor(seconds / day), "d", Math.floor((seconds % day) / hour), "h");
    return `${Math.floor(seconds / day)}d`;
  }

  function ages(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const left = Date.now() - Date.parse(time.dateTime);
      const text = left < -2 * SECOND ? `in ${age(-left)}` : `${age(left)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
  }

  function buttons(root) {
    if (!navigator.clipboard) return;
    for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2 * SECOND);
  });

  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    document.getElementById("find").focus();
  });

  /** An element from the page's own server, in which every value is escaped. */
  function element(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    const made = template.content.firstElementChild;
    ages(made);
    buttons(made);
    return made;
  }

  /** Where the keyboard is in an element, to find the place again in the next one. */
  function place(block) {
    const focused = block.contains(document.activeElement) ? document.activeElement : null;
    const all = (root) => [...root.querySelectorAll("a, button, summary, input, select, [tabindex]")];
    const at = focused ? all(block).indexOf(focused) : -1;
    const open = new Map([...block.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    return (next) => {
      for (const one of next.querySelectorAll("details[id]")) if (open.has(one.id)) one.open = open.get(one.id);
      if (at >= 0) all(next)[at]?.focus();
    };
  }

  function put(change, late) {
    const list = document.querySelector(`[data-blocks="${change.name}"]`);
    if (!list) return;
    const known = new Map([...list.children].map((block) => [block.dataset.key, block]));
    for (const [key, html] of Object.entries(change.set)) {
      const [next, old] = [element(html), known.get(key)];
      if (!late) next.classList.add("changed");
      if (old) {
        const restore = place(old);
        old.replaceWith(next);
        restore(next);
      }
      known.set(key, next);
    }
    if (!change.order) return;
    const wanted = new Set(change.order);
    for (const [key, block] of known) if (!wanted.has(key)) block.remove();
    let before = list.firstElementChild;
    for (const key of change.order) {
      const block = known.get(key);
      if (!block) continue;
      if (block === before) before = before.nextElementSibling;
      else list.insertBefore(block, before);
    }
  }

  // What is pressed stays in its place until it is released: a click would be lost otherwise.
  let pressed = false;
  const arrived = [];

  function show() {
    pressed = false;
    for (const { changes, news, late } of arrived.splice(0)) {
      for (const change of changes) put(change, late);
      if (news.length) document.getElementById("news").textContent = news.join(". ");
      document.body.dataset.updated = String(Date.now());
    }
  }

  document.addEventListener("pointerdown", () => { pressed = true; });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => setTimeout(show));

  const { live, seen } = document.body.dataset;
  const connection = document.getElementById("connection");
  let source = null;
  let current = seen;
  const lost = connection.textContent;

  function listen() {
    if (source || !live || document.hidden) return;
    const separator = live.includes("?") ? "&" : "?";
    source = new EventSource(`${live}${separator}seen=${current}`);
    source.onopen = () => {
      connection.hidden = true;
      connection.textContent = lost;
    };
    source.onerror = () => {
      connection.hidden = false;
      // A browser tries again by itself unless there was another answer, such as that of a proxy.
      if (source.readyState !== EventSource.CLOSED) return;
      source = null;
      setTimeout(listen, 5 * SECOND);
    };
    source.onmessage = (event) => {
      arrived.push(JSON.parse(event.data));
      current = event.lastEventId;
      if (!pressed) show();
    };
    // There is no place for this page among the streams now.
    source.addEventListener("busy", (event) => {
      connection.textContent = event.data;
      connection.hidden = false;
      source.close();
      source = null;
      setTimeout(listen, 30 * SECOND);
    });
    // The sign-in has ended.
    source.addEventListener("end", () => location.reload());
  }

  // A browser opens few connections to one address: a page that is not seen gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else {
      ages(document);
      listen();
    }
  });

  ages(document);
  buttons(document);
  setInterval(() => ages(document), 5 * SECOND);
  listen();
})();
