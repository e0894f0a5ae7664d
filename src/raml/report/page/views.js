// The tabs of the page, and those made of paragraphs, charts, tables and surfaces.

const drawnViews = new Set();

/** Add a tab and an empty section for each view of the payload; the overview's are there. */
function renderTabs(views) {
  const tabs = byId("tabs");
  const last = tabs.lastElementChild; // how it was made comes last
  for (const view of views.filter(({ key }) => key !== "overview")) {
    const link = make("a", { href: `#v=${view.key}`, "data-view": view.key }, plainText(view.title));
    tabs.insertBefore(make("li", {}, link), last);
    byId("views").append(make("section", { class: "page-view", id: `view-${view.key}`, "aria-label": plainText(view.title), hidden: "" }, make("div", { class: "view-body" })));
  }
}

/** Show one view; it is drawn when it is shown for the first time, as only then it has a size. */
function showView(key) {
  for (const section of document.querySelectorAll(".page-view")) section.hidden = section.id !== `view-${key}`;
  for (const link of byId("tabs").querySelectorAll("a")) {
    if (link.dataset.view === key) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const view = data.views.find((candidate) => candidate.key === key);
  if (view && !drawnViews.has(key)) {
    drawnViews.add(key);
    renderView(byId(`view-${key}`).querySelector(".view-body"), view);
  }
}

function renderView(section, view) {
  const paragraphs = view.paragraphs.map((text) => makeText("p", text, { class: "data lead" }));
  const parts = view.parts.map((part) => (part.loss ? makeSurface(part) : part.headings ? makeTable(part) : makeChart(part)));
  const title = view.key === "overview" ? [] : [make("h2", { class: "visually-hidden view-title" }, plainText(view.title))];
  section.replaceChildren(...title, ...paragraphs, make("div", { class: "parts" }, ...parts));
}

function makeTable(table) {
  const head = make("tr", {}, ...table.headings.map((heading) => makeText("th", heading, { scope: "col" })));
  const rows = table.rows.map((row) => make("tr", {}, ...row.map((cell) => makeText("td", cell))));
  const listRows = () => [table.headings, ...table.rows];
  return make(
    "figure",
    { class: "figure wide", id: `figure-${table.key}` },
    make("div", { class: "figure-head" }, makeText("h3", table.title), makeDownloads(table.key, table.title, { listRows })),
    make("div", { class: "table-frame", tabindex: "0", role: "group", "aria-label": plainText(table.title) }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))),
    makeText("figcaption", table.caption, { class: "fine data" }),
  );
}
