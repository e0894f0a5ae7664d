// Figures as files: SVG with its colours written into it, and the numbers behind it as CSV.

const SVG_STYLES = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "stroke-opacity", "opacity",
  "font-family", "font-size", "font-weight", "visibility",
]; // what the style sheet gives an element of a figure

function saveFile(name, type, text) {
  const link = make("a", { download: name });
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Write a figure as a file of its own: what the style sheet says of each element becomes its attributes. */
function writeSvg(svg, title) {
  const copy = svg.cloneNode(true);
  const [originals, copies] = [svg, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  originals.forEach((original, n) => {
    const style = getComputedStyle(original);
    for (const name of SVG_STYLES) copies[n].setAttribute(name, style.getPropertyValue(name));
    copies[n].removeAttribute("class");
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.removeAttribute("aria-hidden");
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width: "100%", height: "100%", fill: getComputedStyle(svg.closest("figure, .curve") ?? svg).backgroundColor })) {
    ground.setAttribute(name, value);
  }
  const name = document.createElementNS("http://www.w3.org/2000/svg", "title");
  name.textContent = title;
  copy.prepend(name, ground);
  return new XMLSerializer().serializeToString(copy);
}

/** Write rows as CSV (RFC 4180). Text that a spreadsheet would take for a formula gets an apostrophe before it. */
function writeCsv(rows) {
  const writeCell = (cell) => {
    if (cell === null || cell === undefined) return "";
    if (typeof cell === "number") return Number.isFinite(cell) ? String(cell) : "";
    const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(writeCell).join(",")}\r\n`).join("");
}

/** Buttons that save a figure; `writeFigure` and `listRows` are called when one is pressed. */
function makeDownloads(name, { writeFigure, listRows }) {
  const buttons = [];
  const add = (label, what, save) => {
    const button = make("button", { type: "button", class: "download", "aria-label": `Download ${what}` }, label);
    button.addEventListener("click", save);
    buttons.push(button);
  };
  if (writeFigure) add("SVG", "the figure as SVG", async () => saveFile(`${name}.svg`, "image/svg+xml", await writeFigure()));
  if (listRows) add("CSV", "the data as CSV", () => saveFile(`${name}.csv`, "text/csv", writeCsv(listRows())));
  return make("span", { class: "downloads" }, ...buttons);
}
