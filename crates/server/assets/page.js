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

  // The proof line: the path from the hash of an event to the root of its checkpoint, computed here.
  function bytesOf(base64) {
    var text = atob(base64), bytes = new Uint8Array(text.length);
    for (var at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
    if (bytes.length !== 32) throw new Error("a hash of " + bytes.length + " bytes");
    return bytes;
  }
  function hex(bytes) {
    return Array.prototype.map.call(bytes, function (byte) { return (byte < 16 ? "0" : "") + byte.toString(16); }).join("");
  }
  function nodeHash(left, right) {
    var node = new Uint8Array(65);
    node[0] = 1;
    node.set(left, 1);
    node.set(right, 33);
    return crypto.subtle.digest("SHA-256", node).then(function (hash) { return new Uint8Array(hash); });
  }
  // RFC 9162, 2.1.3.2. Numbers here go to 2^53, so nothing is shifted or masked: those operations cut at 32 bits.
  function isOdd(number) { return number % 2 === 1; }
  function half(number) { return Math.floor(number / 2); }
  function rootOf(leaf, index, size, path) {
    var fn = index, sn = size - 1, lefts = [], hash = Promise.resolve(leaf);
    path.forEach(function (sibling) {
      if (sn === 0) throw new Error("the path is too long");
      var isLeft = isOdd(fn) || fn === sn;
      lefts.push(isLeft);
      hash = hash.then(function (below) { return isLeft ? nodeHash(sibling, below) : nodeHash(below, sibling); });
      if (isLeft) while (!isOdd(fn) && fn !== 0) { fn = half(fn); sn = half(sn); }
      fn = half(fn);
      sn = half(sn);
    });
    if (sn !== 0) throw new Error("the path is too short");
    return hash.then(function (root) { return { root: hex(root), lefts: lefts }; });
  }
  // What was signed is the text of the note: origin, size, root.
  function recomputed(proof, seq) {
    var note = proof.checkpoint.note.split("\n"), size = Number(note[1]), root = hex(bytesOf(note[2]));
    if (String(proof.seq) !== seq) throw new Error("a path of another event");
    if (!Number.isSafeInteger(size) || !Number.isSafeInteger(proof.seq) || proof.seq >= size) throw new Error("not in the checkpoint");
    return rootOf(bytesOf(proof.leaf), proof.seq, size, proof.path.map(bytesOf)).then(function (found) {
      if (found.root !== root) throw new Error("another root");
      return found;
    });
  }
  function element(name, text, kind) {
    var made = document.createElement(name);
    if (text) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }
  function tell(line, tone, icon, bold, text) {
    var said = element("div", "", "said");
    line.className = "proof " + tone;
    line.querySelector("use").setAttribute("href", icon);
    said.setAttribute("role", tone === "bad" ? "alert" : "status");
    said.append(element("b", bold), " " + text);
    line.querySelector(".said").replaceWith(said);
    all(".path,[data-evidence]", line).forEach(function (old) { old.remove(); });
    return said;
  }
  // Leaf at the left, root at the right; on the way each hash comes from the side on which it stands.
  function drawing(lefts) {
    var space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
    function add(name, kind, attributes) {
      var part = document.createElementNS(space, name);
      if (kind) part.setAttribute("class", kind);
      Object.keys(attributes).forEach(function (key) { part.setAttribute(key, attributes[key]); });
      svg.appendChild(part);
    }
    function at(step) { return 6 + 160 * step / (lefts.length + 1); }
    svg.setAttribute("class", "path");
    svg.setAttribute("viewBox", "0 0 172 20");
    svg.setAttribute("aria-hidden", "true");
    add("line", "", { x1: 6, y1: 10, x2: 166, y2: 10 });
    lefts.forEach(function (isLeft, step) {
      var y = isLeft ? 4 : 16;
      add("line", "", { x1: at(step), y1: y, x2: at(step + 1), y2: 10 });
      add("circle", "m", { cx: at(step), cy: y, r: 1.6 });
      add("circle", "n", { cx: at(step + 1), cy: 10, r: 1.6 });
    });
    add("circle", "n", { cx: 6, cy: 10, r: 3 });
    add("rect", "n", { x: 162, y: 6, width: 8, height: 8, rx: 2 });
    return svg;
  }
  function tellRecomputed(line, number, found) {
    var count = found.lefts.length;
    var said = tell(line, "good", "#seal", "Your browser recomputed the path to checkpoint #" + number + ".",
      count + (count === 1 ? " hash" : " hashes") + " from this event to the root ");
    said.append(element("span", found.root.slice(0, 4) + "…" + found.root.slice(-4), "mono"));
    said.title = line.querySelector("[data-check]").title;
    said.after(drawing(found.lefts));
  }
  function tellMisfit(line, number, reply) {
    tell(line, "bad", "#seal-bad", "The path does not lead to checkpoint #" + number + ".",
      "What the server sent for this event does not fit the checkpoint that it signed. Keep this page and call your operator.");
    var evidence = element("a", "Download the evidence", "btn");
    evidence.href = URL.createObjectURL(new Blob([reply], { type: "application/json" }));
    evidence.download = "proof-of-seq-" + line.dataset.seq + ".json";
    evidence.dataset.evidence = "";
    line.querySelector(".end").prepend(evidence);
  }
  function check(button) {
    var line = button.closest(".proof");
    if (line.getAttribute("aria-busy")) return;
    line.setAttribute("aria-busy", "true");
    fetch(button.dataset.check, { credentials: "same-origin" }).then(function (answer) {
      if (!answer.ok) throw new Error("status " + answer.status);
      return answer.text();
    }).then(function (reply) {
      var proof = JSON.parse(reply), checkpoint = proof.checkpoint;
      if (!checkpoint) {
        tell(line, "wait", "#seal-wait", "Recorded and durable.", "No checkpoint covers this event yet; check again in a moment.");
        return null;
      }
      var number = Number(checkpoint.number).toLocaleString("en");
      // A reply that is malformed does not fit either; only one that never came says nothing.
      return new Promise(function (resolve) { resolve(recomputed(proof, line.dataset.seq)); }).then(
        function (found) { tellRecomputed(line, number, found); },
        function () { tellMisfit(line, number, reply); });
    }).catch(function () {
      tell(line, "wait", "#info", "Nothing was checked.", "The server did not send the path; try again in a moment.");
    }).then(function () { line.removeAttribute("aria-busy"); });
  }
  document.addEventListener("click", function (e) {
    var button = e.target.closest && e.target.closest("[data-check]");
    if (button) check(button);
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
