/* The console's own script: refreshes the front page, copies, and helps with the policy form. No request leaves this site. */
(function () {
  "use strict";

  function ready(run) {
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", run);
    else run();
  }

  function refresh(box) {
    let failedSince = null;
    let busy = false;

    function late(say) {
      let note = document.getElementById("now-late");
      if (!say) { if (note) note.remove(); box.classList.remove("vg-stale"); return; }
      if (!note) {
        note = document.createElement("p");
        note.id = "now-late";
        note.className = "vg-problem";
        note.setAttribute("role", "alert");
        box.before(note);
      }
      note.textContent = say;
      box.classList.add("vg-stale");
    }

    async function once() {
      if (document.hidden || busy) return;
      busy = true;
      try {
        const answer = await fetch(box.dataset.refresh, { headers: { Accept: "text/html" }, redirect: "manual", signal: AbortSignal.timeout(10000) });
        if (answer.type === "opaqueredirect" || answer.status === 403) { window.location.reload(); return; }
        if (!answer.ok) throw new Error("status " + answer.status);
        const text = await answer.text();
        const focused = box.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
        box.innerHTML = text;
        if (focused) { const again = box.querySelector('a[href="' + CSS.escape(focused) + '"]'); if (again) again.focus(); }
        failedSince = null;
        late("");
      } catch (error) {
        failedSince = failedSince || new Date();
        late("This page has not been refreshed since " + failedSince.toISOString().slice(11, 19) + " UTC: Vigil's web server does not answer. What you see may be old.");
      } finally {
        busy = false;
      }
    }

    window.setInterval(once, Number(box.dataset.every) || 5000);
    document.addEventListener("visibilitychange", once);
  }

  function copy(button) {
    button.addEventListener("click", async function () {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent.trim());
      } catch (error) { /* without a secure context there is no clipboard: select it instead */
        const range = document.createRange();
        range.selectNodeContents(source);
        const selection = window.getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
        document.execCommand("copy");
      }
      button.textContent = "Copied";
    });
  }

  /* The policy form. One way of writing is the truth; the server translates it into the others. */
  function policy(form) {
    const said = document.getElementById("said");
    const tried = document.getElementById("tried");
    const attempt = document.getElementById("try");
    const field = function (name) { return form.elements.namedItem(name); };
    const way = function () { return form.querySelector("input[name=written_as]:checked").value; };
    let waiting = null;
    let asked = 0;

    function show() {
      form.querySelectorAll("[data-way]").forEach(function (one) { one.classList.toggle("vg-hidden", one.dataset.way !== way()); });
    }

    function send(address) {
      const body = new FormData(form);
      return fetch(address, { method: "POST", body: body, headers: { "X-CSRFToken": body.get("csrfmiddlewaretoken") }, redirect: "manual", signal: AbortSignal.timeout(15000) });
    }

    function empty() {
      if (way() === "fields") return !field("metric").value.trim() || !field("threshold").value.trim();
      return !field(way() === "sentence" ? "sentence" : "condition").value.trim();
    }

    function say(text, wrong) {
      said.textContent = text;
      said.classList.toggle("vg-wrong", wrong);
      said.classList.toggle("vg-hidden", !text);
    }

    function follow(answer) {
      const now = way();
      if (now !== "sentence") field("sentence").value = answer.sentence;
      if (now !== "json") field("condition").value = answer.condition;
      const box = form.querySelector("input[name=written_as][value=fields]");
      box.disabled = answer.fields === null && now !== "fields";
      box.parentElement.title = box.disabled ? "The fields cannot say this condition; use a sentence or JSON." : "";
      if (now !== "fields" && answer.fields) {
        ["metric", "comparison", "threshold", "aggregate", "window", "recover"].forEach(function (name) { field(name).value = answer.fields[name]; });
        field("hold_for").value = answer.fields.hold_for;
      }
    }

    async function translate() {
      const mine = ++asked;
      if (empty()) { say("", false); return; }
      try {
        const response = await send(form.dataset.sentence);
        if (!response.ok) throw new Error("status " + response.status);
        const answer = await response.json();
        if (mine !== asked) return;
        form.querySelectorAll("[data-way] .vg-problem").forEach(function (one) { one.remove(); }); /* of what was sent; this is of what is written */
        if (answer.problems.length) { say(answer.problems.join(" "), true); return; }
        follow(answer);
        say("Reads as: " + answer.sentence, false);
      } catch (error) {
        if (mine === asked) say("The sentence could not be fetched; saving still checks everything. Reload the page if you were signed out.", true);
      }
    }

    function soon() {
      window.clearTimeout(waiting);
      waiting = window.setTimeout(translate, 300);
    }

    function remedy() {
      const known = JSON.parse(document.getElementById("action-schemas").textContent)[field("action").value];
      const names = known ? Object.keys((known.schema || {}).properties || {}) : [];
      document.getElementById("action-says").textContent = known ? known.description + (names.length ? " Parameters: " + names.join(", ") + "." : "") : "";
    }

    form.addEventListener("input", function (event) { if (event.target.closest("[data-way]")) soon(); });
    form.querySelectorAll("input[name=written_as]").forEach(function (one) { one.addEventListener("change", function () { show(); soon(); }); });
    field("action").addEventListener("change", remedy);
    attempt.disabled = false;
    attempt.addEventListener("click", async function () {
      attempt.disabled = true;
      tried.innerHTML = "";
      try {
        const response = await send(form.dataset.preview);
        if (!response.ok) throw new Error("status " + response.status);
        tried.innerHTML = await response.text();
      } catch (error) {
        const note = document.createElement("p");
        note.className = "vg-problem";
        note.textContent = "The test could not be run. Reload the page and try again.";
        tried.replaceChildren(note);
      } finally {
        attempt.disabled = false;
      }
    });
    show();
    remedy();
    translate();
  }

  /* Each cell learns its column's name, so that the list can be read as cards on a phone. */
  function label(table) {
    const names = Array.from(table.querySelectorAll("thead th")).map(function (one) { return one.classList.contains("action-checkbox-column") ? "" : one.textContent.trim().split("\n")[0].trim(); });
    table.querySelectorAll("tr.data-row").forEach(function (row) {
      Array.from(row.children).forEach(function (cell, place) {
        if (names[place]) cell.dataset.label = names[place];
        if (["-", ""].includes(cell.textContent.trim()) && !cell.querySelector("input, svg, span")) cell.dataset.empty = "";
      });
    });
  }

  /* The theme folds its navigation away up to 1280 pixels, where there is room for it. */
  document.addEventListener("alpine:init", function () {
    const make = window.theme;
    if (!make) return;
    const roomy = function () { return window.innerWidth >= 1280; };
    const kept = function () { return roomy() && localStorage.getItem("sidebarOpen") !== "0"; };
    window.theme = function (given) {
      const made = make(given);
      made.sidebarOpen = kept();
      made.sidebarToggle = function () {
        this.sidebarOpen = !this.sidebarOpen;
        if (roomy()) localStorage.setItem("sidebarOpen", this.sidebarOpen ? "1" : "0");
      };
      made.themeBindings["x-resize.window"] = function () { this.sidebarOpen = kept(); };
      return made;
    };
  });

  ready(function () {
    document.querySelectorAll("#result_list").forEach(label);
    const form = document.getElementById("policy-form");
    if (form) policy(form);
    document.querySelectorAll("[data-refresh]").forEach(refresh);
    document.querySelectorAll("[data-copy]").forEach(copy);
    document.querySelectorAll("[data-forget]").forEach(function (one) { window.history.replaceState(null, "", one.dataset.forget); });
  });
})();
