"use strict";
/* Sorting, filtering, searching, and saving answers. The page is complete without it. The address
   keeps the state: #<id of a part>?q=…&verdict=…&sort=…&order=… */
(() => {
  const table = document.querySelector("table.people");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const sections = new Map(rows.map((row) => [row.dataset.person, document.getElementById(row.dataset.person)]));
  const heads = Array.from(table.tHead.rows[0].cells);
  const filters = document.getElementById("filters");
  const finder = document.getElementById("find-video");
  const videos = Array.from(document.querySelectorAll("article.video"));
  const sortBy = document.getElementById("sort-by");
  const shownPeople = document.getElementById("shown-people");
  const shownVideos = document.getElementById("shown-videos");
  const fields = ["q", "verdict", "group", "least"].filter((name) => filters.elements[name]);
  const words = new Intl.Collator("en", {numeric: true});
  let texts = [];
  const state = {sort: "", order: ""};

  const values = rows.map((row) => Array.from(row.cells, (cell) => cell.dataset.v || ""));
  const numeric = heads.map((head, column) => values.every((own) => own[column] === "" || !isNaN(own[column])));

  function sortRows() {
    let order = rows.map((_, place) => place);
    const column = heads.findIndex((head) => head.dataset.sort === state.sort);
    if (column >= 0) {
      const sign = state.order === "descending" ? -1 : 1;
      order.sort((a, b) => {
        const one = values[a][column], other = values[b][column];
        if (one === "" || other === "") return (one === "") - (other === "") || a - b;
        const by = numeric[column] ? one - other : words.compare(one, other);
        return sign * by || a - b;
      });
    }
    const sorted = document.createDocumentFragment();
    for (const place of order) sorted.append(rows[place]);
    body.append(sorted);
    sortBy.value = state.sort;
    heads.forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", state.order);
      else head.removeAttribute("aria-sort");
    });
  }

  function filterRows() {
    const value = (name) => (filters.elements[name] ? filters.elements[name].value.trim() : "");
    const wanted = value("q").toLowerCase(), verdict = value("verdict"), group = value("group");
    const least = Number(value("least")) || 0;
    const people = new Set();
    let shown = 0;
    for (const row of rows) {
      const own = row.dataset;
      row.hidden = !(own.find.includes(wanted) && (!verdict || own.verdict === verdict) &&
        (!group || own.group === group) && Number(own.videos) >= least);
      if (!row.hidden) { shown += 1; people.add(own.person); }
    }
    for (const [person, section] of sections) section.hidden = !people.has(person);
    shownPeople.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
  }

  function filterVideos() {
    const wanted = finder.elements.video.value.trim().toLowerCase();
    let shown = 0;
    if (wanted && !texts.length) texts = videos.map((video) => video.textContent.toLowerCase());
    for (const [place, video] of videos.entries()) {
      video.hidden = wanted !== "" && !texts[place].includes(wanted);
      if (!video.hidden) shown += 1;
    }
    shownVideos.textContent = wanted ? `${shown} of ${videos.length} videos` : "";
  }

  function query() {
    const kept = new URLSearchParams();
    for (const name of fields) {
      const value = filters.elements[name].value.trim();
      if (value) kept.set(name, value);
    }
    if (finder.elements.video.value.trim()) kept.set("video", finder.elements.video.value.trim());
    if (state.sort) { kept.set("sort", state.sort); kept.set("order", state.order); }
    return kept.toString();
  }

  function address(part) {
    const kept = query();
    return `#${part}${kept ? `?${kept}` : ""}`;
  }

  function part() { return location.hash.slice(1).split("?")[0]; }

  function keep() { history.replaceState(history.state, "", address(part())); }

  function restore() {
    const kept = new URLSearchParams(location.hash.split("?").slice(1).join("?"));
    for (const name of fields) filters.elements[name].value = kept.get(name) || "";
    finder.elements.video.value = kept.get("video") || "";
    const known = heads.some((head) => head.dataset.sort === kept.get("sort"));
    const sort = known ? kept.get("sort") : "";
    const order = kept.get("order") === "descending" ? "descending" : "ascending";
    if (sort !== state.sort || (sort && order !== state.order)) {
      state.sort = sort;
      state.order = sort ? order : "";
      sortRows();
    }
    filterRows();
    filterVideos();
  }

  function show(id, focus) {
    document.querySelectorAll(".here").forEach((one) => one.classList.remove("here"));
    const target = id && document.getElementById(id);
    if (!target) return;
    target.hidden = false;
    target.classList.add("here");
    target.scrollIntoView({behavior: "instant", block: "start"});
    if (focus) {
      target.tabIndex = -1;
      target.focus({preventScroll: true});
    }
  }

  sortBy.addEventListener("change", () => {
    const head = heads.find((one) => one.dataset.sort === sortBy.value);
    state.sort = sortBy.value;
    state.order = head ? head.dataset.first || "ascending" : "";
    sortRows();
    keep();
  });
  heads.forEach((head) => {
    const label = head.querySelector(".label") || head;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...label.childNodes);
    label.append(button);
    sortBy.add(new Option(button.textContent, head.dataset.sort));
    button.addEventListener("click", () => {
      const first = head.dataset.first || "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      if (state.sort !== head.dataset.sort) Object.assign(state, {sort: head.dataset.sort, order: first});
      else if (state.order === first) state.order = other;
      else Object.assign(state, {sort: "", order: ""});
      sortRows();
      keep();
    });
  });
  for (const form of [filters, finder]) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  filters.addEventListener("input", () => { filterRows(); keep(); });
  filters.addEventListener("reset", () => {
    Object.assign(state, {sort: "", order: ""});
    setTimeout(() => { sortRows(); filterRows(); keep(); });
  });
  finder.addEventListener("input", () => { filterVideos(); keep(); });

  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest('a[href^="#"]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const id = link.getAttribute("href").slice(1);
    history.replaceState({scroll: scrollY}, "");
    history.pushState(null, "", address(id));
    show(id, true);
  });
  addEventListener("popstate", (event) => {
    restore();
    if (event.state && event.state.scroll !== undefined) {
      show("");
      requestAnimationFrame(() => scrollTo({top: event.state.scroll, behavior: "instant"}));
    } else show(part(), true);
  });
  history.scrollRestoration = "manual";

  const form = document.getElementById("answers");
  if (form) {
    const data = JSON.parse(document.getElementById("data").textContent);
    const save = document.getElementById("save"), told = document.getElementById("answered");
    const questions = Array.from(form.querySelectorAll(".question"));
    let unsaved = false;
    const answers = () => questions.map((one) => ({
      first: one.dataset.first,
      second: one.dataset.second,
      answer: form.elements[one.id].value,
    })).filter((one) => one.answer);
    form.querySelector(".save").hidden = false;
    document.getElementById("needs-scripts").hidden = true;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", (event) => {
      const marked = answers().length;
      event.target.closest(".question").classList.toggle("answered", event.target.value !== "");
      save.disabled = !marked;
      unsaved = marked > 0;
      told.textContent = marked ? `${marked} of ${questions.length} answered, not saved yet.` : "No question is answered yet.";
    });
    save.addEventListener("click", () => {
      const given = answers();
      const file = new Blob([JSON.stringify({...data, answers: given}, null, 2) + "\n"], {type: "application/json"});
      const link = document.createElement("a");
      link.href = URL.createObjectURL(file);
      link.download = "answers.json";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      unsaved = false;
      told.textContent = `${given.length} of ${questions.length} answers are in the file answers.json.`;
    });
    addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
  }

  restore();
  if (part()) show(part(), false);
})();
