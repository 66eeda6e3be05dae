// Manage > Audit: keys, completion, choosing a span in the chart, leaving values out, new events. The page works without it.
(function () {
  "use strict";
  function all(css, root) { return Array.prototype.slice.call((root || document).querySelectorAll(css)); }
  function one(css) { return document.querySelector(css); }
  function isTyping(target) { return /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable; }
  function go(href) { window.location.assign(href); }

  // Values beside the events: Alt with a click, or x on the value, leaves it out.
  document.addEventListener("click", function (e) {
    var value = e.target.closest && e.target.closest(".fv[data-exclude]");
    if (!value || !e.altKey) return;
    e.preventDefault();
    e.stopPropagation();
    go(value.dataset.exclude);
  }, true);

  // Rows: j and k move, Enter opens, o goes to the event's own address.
  function rows() { return all(".ev"); }
  function cursor() { return one(".ev.cursor"); }
  function moveTo(row) {
    var before = cursor();
    if (before) { before.classList.remove("cursor"); before.removeAttribute("aria-current"); }
    row.classList.add("cursor");
    row.setAttribute("aria-current", "true");
    var link = row.querySelector(".open");
    if (link) link.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }
  function step(by) {
    var list = rows(), at = list.indexOf(cursor());
    if (!list.length) return;
    moveTo(list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + by))]);
  }
  var actions = {
    "/": function () { var q = one("#query"); if (q) { q.focus(); q.select(); } },
    j: function () { step(1); },
    k: function () { step(-1); },
    o: function () { var row = cursor(), link = row && row.querySelector("[data-own-address]"); if (link) go(link.href); },
    n: function () { var next = one(".pager a[rel=next]"); if (next) next.click(); },
    p: function () { var before = one(".pager a[rel=prev]"); if (before) before.click(); },
    "?": function () { var help = one("#keys"); if (help && help.showModal) help.showModal(); }
  };
  document.addEventListener("keydown", function (e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === "x" && e.target.matches(".fv[data-exclude]")) { go(e.target.dataset.exclude); return; }
    if (isTyping(e.target) || one("dialog[open]")) return;
    var action = Object.prototype.hasOwnProperty.call(actions, e.key) && actions[e.key];
    if (!action) return;
    e.preventDefault();
    action();
  });

  // The chart: drag over bars to choose their span; arrow keys move between bars.
  var drag = null;
  function barAt(x) {
    return all("#plot .wk").filter(function (bar) {
      var box = bar.querySelector(".hit").getBoundingClientRect();
      return x >= box.left && x < box.right;
    })[0];
  }
  function paintDrag() {
    var bars = all("#plot .wk"), from = bars.indexOf(drag.from), to = bars.indexOf(drag.to);
    bars.forEach(function (bar, at) {
      bar.classList.toggle("out", at < Math.min(from, to) || at > Math.max(from, to));
    });
  }
  document.addEventListener("pointerdown", function (e) {
    var bar = e.button === 0 && e.target.closest && e.target.closest("#plot .wk");
    if (bar) drag = { from: bar, to: bar, moved: false };
  });
  document.addEventListener("pointermove", function (e) {
    if (!drag) return;
    var bar = barAt(e.clientX);
    if (!bar || bar === drag.to) return;
    drag.to = bar;
    drag.moved = drag.moved || bar !== drag.from;
    paintDrag();
  });
  document.addEventListener("dragstart", function (e) { if (drag) e.preventDefault(); });
  document.addEventListener("pointerup", function () {
    if (!drag) return;
    var done = drag, bars = all("#plot .wk");
    drag = null;
    if (!done.moved) return;
    var ends = [bars.indexOf(done.from), bars.indexOf(done.to)].sort(function (a, b) { return a - b; });
    var place = new URL(window.location.href);
    place.searchParams.delete("page");
    place.searchParams.set("from", bars[ends[0]].dataset.from);
    place.searchParams.set("to", bars[ends[1]].dataset.to);
    // The click that ends a drag is none on a bar.
    document.addEventListener("click", function (e) { e.preventDefault(); e.stopPropagation(); }, { capture: true, once: true });
    go(place.href);
  });
  document.addEventListener("keydown", function (e) {
    var bar = e.target.closest && e.target.closest("#plot .wk");
    if (!bar || (e.key !== "ArrowLeft" && e.key !== "ArrowRight")) return;
    var bars = all("#plot .wk"), next = bars[bars.indexOf(bar) + (e.key === "ArrowLeft" ? -1 : 1)];
    if (!next) return;
    e.preventDefault();
    bar.setAttribute("tabindex", "-1");
    next.removeAttribute("tabindex");
    next.focus();
  });

  // Completion: keys and values, with counts, for the word at the caret.
  var box = null, options = [], chosen = -1, asked = 0, timer = 0;
  function close() {
    if (!box) return;
    box.hidden = true;
    box.textContent = "";
    options = [];
    chosen = -1;
    var q = one("#query");
    if (q) { q.setAttribute("aria-expanded", "false"); q.removeAttribute("aria-activedescendant"); }
  }
  function choose(at) {
    options.forEach(function (option, nth) { option.setAttribute("aria-selected", String(nth === at)); });
    chosen = at;
    var q = one("#query");
    if (at >= 0) { q.setAttribute("aria-activedescendant", options[at].id); options[at].scrollIntoView({ block: "nearest" }); }
    else q.removeAttribute("aria-activedescendant");
  }
  function take(option) {
    var q = one("#query"), from = Number(option.dataset.from), to = Number(option.dataset.to);
    q.setRangeText(option.dataset.insert, from, to, "end");
    q.dispatchEvent(new Event("input", { bubbles: true }));
    q.focus();
  }
  function ask(q) {
    var mine = ++asked;
    // Offsets are counted in characters of the input, as the script sees them.
    var place = "/audit/complete?q=" + encodeURIComponent(q.value) + "&at=" + q.selectionStart;
    fetch(place, { credentials: "same-origin" }).then(function (reply) { return reply.ok ? reply.text() : ""; }).then(function (html) {
      if (mine !== asked || document.activeElement !== q) return;
      box = one("#complete");
      if (!box || !html.trim()) { close(); return; }
      box.innerHTML = html;
      options = all("[role=option]", box);
      if (!options.length) { close(); return; }
      box.hidden = false;
      q.setAttribute("aria-expanded", "true");
      choose(-1);
    }).catch(close);
  }
  document.addEventListener("input", function (e) {
    if (e.target.id !== "query") return;
    clearTimeout(timer);
    timer = setTimeout(function () { ask(e.target); }, 120);
  });
  document.addEventListener("focusin", function (e) { if (e.target.id === "query") ask(e.target); });
  document.addEventListener("focusout", function (e) { if (e.target.id === "query") { ++asked; setTimeout(close, 150); } });
  document.addEventListener("keydown", function (e) {
    if (e.target.id !== "query" || !box || box.hidden) return;
    if (e.key === "ArrowDown") choose(chosen + 1 < options.length ? chosen + 1 : 0);
    else if (e.key === "ArrowUp") choose(chosen > 0 ? chosen - 1 : options.length - 1);
    else if (e.key === "Escape") { close(); e.stopPropagation(); }
    else if ((e.key === "Enter" && chosen >= 0) || (e.key === "Tab" && !e.shiftKey && options.length)) {
      take(options[Math.max(chosen, 0)]);
    } else return;
    e.preventDefault();
  }, true);
  document.addEventListener("pointerdown", function (e) {
    var option = e.target.closest && e.target.closest("#complete [role=option]");
    if (option) { e.preventDefault(); take(option); }
  });

  function prepare() {
    var q = one("#query");
    if (!q || q.getAttribute("role")) return;
    q.setAttribute("role", "combobox");
    q.setAttribute("aria-autocomplete", "list");
    q.setAttribute("aria-controls", "complete");
    q.setAttribute("aria-expanded", "false");
  }
  prepare();
  document.addEventListener("htmx:after:swap", prepare);

  // Density: as it was chosen, in this browser.
  function density(isDense) { document.documentElement.classList.toggle("dense", isDense); }
  try { density(localStorage.getItem("annals-density") === "dense"); } catch (e) { /* storage is off */ }
  document.addEventListener("click", function (e) {
    if (!e.target.closest("[data-density]")) return;
    var isDense = !document.documentElement.classList.contains("dense");
    density(isDense);
    try { localStorage.setItem("annals-density", isDense ? "dense" : ""); } catch (e2) { /* holds for this page */ }
  });

  // The viewer's time zone, for the server, which prints the times.
  try {
    var zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zone && document.cookie.indexOf("annals_zone=" + encodeURIComponent(zone)) < 0) {
      var secure = location.protocol === "https:" ? "; secure" : "";
      document.cookie = "annals_zone=" + encodeURIComponent(zone) + "; path=/; max-age=31536000; samesite=lax" + secure;
    }
  } catch (e) { /* times stay in UTC */ }

  // New events: counted while the page is read, shown when asked for. Paused, nothing is counted; going on begins where it was left.
  var live = null, state = "", fresh = 0, lastSeq = "";
  var words = { "": "Live", running: "Pause", paused: "Resume" };
  function show(next) {
    state = next;
    var button = one("[data-live]"), note = one("#fresh");
    if (button) {
      button.querySelector(".lbl").textContent = words[state];
      button.classList.toggle("running", state === "running");
    }
    if (!note) return;
    note.hidden = !fresh;
    note.querySelector("b").textContent = String(fresh);
    note.querySelector("[data-paused]").hidden = state !== "paused";
  }
  function pause() {
    if (live) live.close();
    live = null;
    show(state && "paused");
  }
  function run() {
    var button = one("[data-live]");
    if (!button) return;
    live = new EventSource("/api/v2/audit/stream?q=" + encodeURIComponent(button.dataset.live) + (lastSeq && "&after_seq=" + lastSeq));
    live.onmessage = function (e) {
      fresh += 1;
      lastSeq = e.lastEventId;
      show("running");
    };
    show("running");
  }
  // Another list: what is new begins with it, and goes on being counted if it was.
  function again() {
    var was = state, button = one("[data-live]");
    if (live) live.close();
    live = null;
    fresh = 0;
    lastSeq = button ? button.dataset.seq : "";
    show("");
    if (was === "running") run();
  }
  again();
  document.addEventListener("click", function (e) {
    if (!e.target.closest("[data-live]")) return;
    if (state === "running") pause(); else run();
  });
  document.addEventListener("htmx:after:swap", function () { if (one("[data-live]") !== shown) { shown = one("[data-live]"); again(); } });
  var shown = one("[data-live]");
  window.addEventListener("pagehide", pause);
})();
