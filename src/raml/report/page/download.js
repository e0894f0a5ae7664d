// Figures as files: SVG with its colours written into it, and the numbers behind it as CSV.

const SVG_STYLES = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "stroke-opacity", "opacity",
  "font-family", "font-size", "font-weight", "visibility",
]; // what the style sheet gives an element of a figure
const TRANSPARENT = "rgba(0, 0, 0, 0)"; // as browsers write it; other programs may take it for black

function saveFile(name, type, text) {
  const link = make("a", { download: name });
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Write a figure as a file of its own, with its legend: elements of a symbol, an SVG, and a name each. */
function writeSvg(svg, title, legend = []) {
  const copy = copyWithStyles(svg);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  appendLegend(copy, legend);
  const fill = getComputedStyle(svg.closest("figure, .curve-pane")).backgroundColor;
  copy.prepend(makeSvg("title", {}, plainText(title)), makeSvg("rect", { width: "100%", height: "100%", fill }));
  return new XMLSerializer().serializeToString(copy);
}

/** Copy SVG so that what the style sheet says of each element becomes its attributes. */
function copyWithStyles(svg) {
  const copy = svg.cloneNode(true);
  const [originals, copies] = [svg, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  originals.forEach((original, n) => {
    const style = getComputedStyle(original);
    for (const name of SVG_STYLES) {
      const value = style.getPropertyValue(name);
      copies[n].setAttribute(name, value === TRANSPARENT ? "none" : value);
    }
    copies[n].removeAttribute("class");
  });
  copy.removeAttribute("aria-hidden");
  return copy;
}

function makeSvg(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

/** Put the entries of a legend under a figure, in lines as wide as it is. */
function appendLegend(figure, legend) {
  const [width, height] = ["width", "height"].map((name) => Number(figure.getAttribute(name)));
  let [left, top] = [8, height + 4];
  for (const entry of legend) {
    const style = getComputedStyle(entry);
    const name = entry.dataset.name ?? entry.textContent.trim();
    const wide = Math.max(entry.getBoundingClientRect().width, 40 + 7 * name.length);
    if (left > 8 && left + wide > width) [left, top] = [8, top + 20];
    const symbol = copyWithStyles(entry.querySelector("svg"));
    symbol.setAttribute("x", left);
    symbol.setAttribute("y", top);
    const text = { x: left + 36, y: top + 11, fill: style.color, "font-family": style.fontFamily, "font-size": style.fontSize };
    figure.append(symbol, makeSvg("text", text, name));
    left += wide + 16;
  }
  if (legend.length === 0) return;
  figure.setAttribute("height", top + 24);
  figure.setAttribute("viewBox", `0 0 ${width} ${top + 24}`);
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

/** Buttons that save a figure; `writeFigure` and `listRows` are called when one is pressed. `hasLink`: one that leads to it. */
function makeDownloads(name, title, { writeFigure, listRows, hasLink = true }) {
  const buttons = [];
  const add = (label, what, save) => {
    const button = make("button", { type: "button", class: "download", "aria-label": `${label}, ${what}: ${plainText(title)}` }, label);
    button.addEventListener("click", save);
    buttons.push(button);
  };
  if (writeFigure) add("SVG", "download the figure", async () => saveFile(`${name}.svg`, "image/svg+xml", await writeFigure()));
  if (listRows) add("CSV", "download the data", () => saveFile(`${name}.csv`, "text/csv", writeCsv(listRows())));
  if (hasLink) buttons.push(make("a", { class: "download", href: `#f=${encodeURIComponent(name)}`, "aria-label": `Link to this figure: ${plainText(title)}` }, "Link"));
  return make("span", { class: "downloads" }, ...buttons);
}
