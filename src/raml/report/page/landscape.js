// A landscape to turn around (Plotly), and the same from above (D3), which needs no WebGL and prints well.

const LOWEST_LOSS = 1e-4; // nats below which a loss counts as this much where logarithms are drawn
// In 3-D a colour and Plotly's name of dashes; from above, where the ground has all colours, the dashes alone.
const PATH_LOOKS = {
  true: { colour: "--look-0", dash: "solid", dashes: "none" },
  false: { colour: "--look-1", dash: "dash", dashes: "7 3" },
  null: { colour: "--look-7", dash: "dot", dashes: "2 3" },
};

function makeSurface(surface) {
  const ways = surface.paths.length ? Object.keys(surface.paths[0].places) : [];
  const scene = make("div", { class: "scene", tabindex: "0", role: "img", "aria-label": `${plainText(surface.title)}. Arrow keys turn it.` });
  const above = make("div", { class: "chart from-above" });
  const kind = makeChoice("Show", [["3-D", "to turn around"], ["above", "from above"]]);
  const way = makeChoice("Paths", ways.map((name) => [name, name]));
  const note = make("p", { class: "note", hidden: "" }, "This browser offers no WebGL, which the 3-D picture needs; here it is from above.");
  const chosen = () => way.querySelector("select").value;
  const isAbove = () => kind.querySelector("select").value === "above";
  async function show() {
    scene.hidden = isAbove();
    above.hidden = !isAbove();
    if (isAbove()) return drawFromAbove(above, surface, chosen());
    if (!hasWebGl()) {
      note.hidden = false;
      kind.querySelector("select").value = "above";
      return show();
    }
    return drawScene(scene, surface, chosen());
  }
  kind.addEventListener("change", show);
  way.addEventListener("change", show);
  scene.addEventListener("keydown", (event) => turnScene(scene, event));
  scene.redraw = show; // the theme's button calls it: WebGL does not follow the style sheet
  redrawOnResize(above, () => isAbove() && show());
  // Paper gets the picture from above: the other may not be drawn yet, and turns light only after the page was printed.
  addEventListener("beforeprint", () => {
    above.hidden = false;
    drawFromAbove(above, surface, chosen());
  });
  addEventListener("afterprint", () => (above.hidden = !isAbove()));
  const downloads = makeDownloads(surface.key, surface.title, {
    writeFigure: () => (isAbove() ? writeSvg(above.querySelector("svg"), surface.title, [...above.querySelector("ul").children]) : writeScene(scene, surface.title)),
    listRows: () => listSurfaceRows(surface),
  });
  const choices = make("div", { class: "choices fine" }, kind, ways.length > 1 ? way : "");
  new IntersectionObserver((entries, observer) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
    observer.disconnect();
    show();
  }).observe(choices);
  return make(
    "figure",
    { class: "figure wide", id: `figure-${surface.key}` },
    make("div", { class: "figure-head" }, makeText("h3", surface.title), downloads),
    choices, note, scene, above,
    makeText("figcaption", surface.caption, { class: "fine data" }),
  );
}

/** Read a colour of the style sheet as WebGL needs it. */
function readColour(name) {
  const probe = make("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

let webGl = null;
function hasWebGl() {
  webGl ??= document.createElement("canvas").getContext("webgl") !== null;
  return webGl;
}

function makeChoice(label, options) {
  const select = make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
  return make("label", {}, `${label} `, select);
}

function liftLoss(surface, loss) {
  if (loss === null) return null;
  return surface.is_log ? Math.log10(Math.max(loss, LOWEST_LOSS)) : loss;
}

/** Ticks in nats, also where logarithms are drawn. */
function heightTicks(surface) {
  if (!surface.is_log) return {};
  const values = surface.loss.flat().filter((loss) => loss !== null).map((loss) => liftLoss(surface, loss));
  const tickvals = d3.range(6).map((n) => d3.min(values) + (n / 5) * (d3.max(values) - d3.min(values)));
  return { tickvals, ticktext: tickvals.map((value) => formatValue(Number((10 ** value).toPrecision(2)), {})) };
}

async function drawScene(scene, surface, way) {
  const [ink, line] = [readColour("--ink"), readColour("--line")];
  const ticks = heightTicks(surface);
  const traces = [
    {
      type: "surface", x: surface.alphas, y: surface.betas, z: surface.loss.map((row) => row.map((loss) => liftLoss(surface, loss))), customdata: surface.loss,
      colorscale: "Viridis", opacity: 0.88, name: "surface", contours: { z: { show: true, usecolormap: true, project: { z: true } } },
      hovertemplate: "α %{x:.3f}, β %{y:.3f}<br>L̂ without trajectory %{customdata:.4f} nats<extra></extra>",
      colorbar: { title: { text: "nats" }, thickness: 12, len: 0.7, ...ticks },
    },
    ...surface.paths.map((path) => describePath(surface, path, way)),
  ];
  const axis = (text) => ({ title: { text }, gridcolor: line, zerolinecolor: line, color: ink });
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", font: { color: ink, family: getComputedStyle(document.body).fontFamily, size: 12 }, margin: { l: 0, r: 0, t: 0, b: 0 },
    scene: { xaxis: axis("α"), yaxis: axis("β"), zaxis: { ...axis("L̂, nats"), ...ticks }, aspectmode: "manual", aspectratio: { x: 1, y: 1, z: 0.7 }, camera: scene.layout?.scene?.camera },
    legend: { orientation: "h", y: 0 }, uirevision: "kept",
  };
  await Plotly.react(scene, traces, layout, { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["toImage"] });
}

function describePath(surface, path, way) {
  const [alphas, betas, heights] = path.places[way];
  const { colour, dash } = PATH_LOOKS[path.correct];
  return {
    type: "scatter3d", mode: "lines+markers", name: plainText(path.name).replaceAll("<", "‹"), x: alphas, y: betas, z: heights.map((height) => liftLoss(surface, height)),
    customdata: path.prefix_lens.map((n, k) => [n, path.loss[k], heights[k], path.off_plane[k]]), marker: { size: 2.5, color: readColour(colour) }, line: { width: 5, color: readColour(colour), dash },
    hovertemplate: "prefix of %{customdata[0]} tokens<br>L̂ with it in the context %{customdata[1]:.4f} nats<br>surface here %{customdata[2]:.4f} nats<br>distance from the plane %{customdata[3]:.3g}<extra>%{fullData.name}</extra>",
  };
}

/** Turn the picture by arrow keys: left and right around it, up and down over it. */
function turnScene(scene, event) {
  const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] }[event.key];
  if (!step || !scene._fullLayout) return;
  const { x, y, z } = scene._fullLayout.scene.camera.eye;
  const radius = Math.hypot(x, y, z);
  const around = Math.atan2(y, x) + step[0];
  const over = Math.max(-1.5, Math.min(1.5, Math.asin(z / radius) + step[1]));
  const eye = { x: radius * Math.cos(over) * Math.cos(around), y: radius * Math.cos(over) * Math.sin(around), z: radius * Math.sin(over) };
  Plotly.relayout(scene, { "scene.camera.eye": eye });
  event.preventDefault();
  event.stopPropagation();
}

/**
 * The 3-D picture as SVG: the scene as an image, colour scale and legend as vectors over it.
 *
 * Not by Plotly.toImage, which parses HTML on its way; this page's policy forbids that to every script.
 */
async function writeScene(scene, title) {
  const { width, height } = scene._fullLayout;
  const { x: [left, right], y: [bottom, top] } = scene._fullLayout.scene.domain;
  const image = scene._fullLayout.scene._scene.toImage("png");
  const svg = d3.create("svg").attr("xmlns", "http://www.w3.org/2000/svg").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
  svg.append("title").text(plainText(title));
  svg.append("rect").attr("width", width).attr("height", height).attr("fill", readColour("--surface"));
  const place = svg.append("image").attr("href", image).attr("x", left * width).attr("y", (1 - top) * height);
  place.attr("width", (right - left) * width).attr("height", (top - bottom) * height);
  for (const layer of scene.querySelectorAll(".main-svg")) {
    const copy = layer.cloneNode(true);
    copy.removeAttribute("style");
    svg.node().append(copy);
  }
  return new XMLSerializer().serializeToString(svg.node());
}

function listSurfaceRows(surface) {
  const grid = surface.betas.flatMap((beta, y) => surface.alphas.map((alpha, x) => ["surface", "", alpha, beta, surface.loss[y][x], null]));
  const paths = surface.paths.flatMap((path) =>
    Object.entries(path.places).flatMap(([way, [alphas, betas, heights]]) => alphas.map((alpha, k) => [`path ${path.trajectory_id}, ${way}`, path.prefix_lens[k], alpha, betas[k], heights[k], path.loss[k]])),
  );
  return [["what", "tokens read", "alpha", "beta", "surface, nats", "L-hat with the prefix in the context, nats"], ...grid, ...paths];
}

/** The landscape from above: filled contours, paths over them. */
function drawFromAbove(container, surface, way) {
  const width = Math.min(Math.max(container.clientWidth, 240), 720);
  const inner = { width: width - 130, height: Math.min(width - 130, 460) };
  const svg = d3.create("svg").attr("class", "chart-svg").attr("width", width).attr("height", inner.height + 56).attr("viewBox", `0 0 ${width} ${inner.height + 56}`);
  const plot = svg.append("g").attr("transform", "translate(54,8)");
  const x = d3.scaleLinear(d3.extent(surface.alphas), [0, inner.width]);
  const y = d3.scaleLinear(d3.extent(surface.betas), [inner.height, 0]);
  const [nx, ny] = [surface.alphas.length, surface.betas.length];
  const values = surface.loss.flat().map((loss) => liftLoss(surface, loss) ?? NaN);
  const [low, high] = d3.extent(values.filter(Number.isFinite));
  const colour = d3.scaleSequential([low, high > low ? high : low + 1], d3.interpolateViridis);
  const levels = d3.range(14).map((n) => low + (n / 14) * (high - low));
  // Contours count from the corner of the first cell, and a cell is half a step wide to either side of its point.
  const place = d3.geoTransform({ point(px, py) { this.stream.point(((px - 0.5) / (nx - 1)) * inner.width, inner.height - ((py - 0.5) / (ny - 1)) * inner.height); } });
  const draw = d3.geoPath(place);
  const map = plot.append("svg").attr("width", inner.width).attr("height", inner.height); // cuts off what lies outside
  map.append("rect").attr("width", inner.width).attr("height", inner.height).attr("fill", colour(low));
  map.append("g").selectAll("path").data(d3.contours().size([nx, ny]).thresholds(levels)(values)).join("path").attr("d", draw).attr("fill", ({ value }) => colour(value)).attr("class", "contour");
  for (const path of surface.paths) {
    const [alphas, betas] = path.places[way];
    const line = d3.line((k) => x(alphas[k]).toFixed(1), (k) => y(betas[k]).toFixed(1)).defined((k) => alphas[k] !== null && betas[k] !== null);
    const points = d3.range(alphas.length);
    map.append("path").attr("class", "path-casing").attr("d", line(points));
    map.append("path").attr("class", "path-line").attr("d", line(points)).attr("stroke-dasharray", PATH_LOOKS[path.correct].dashes);
  }
  plot.append("circle").attr("class", "origin").attr("cx", x(0)).attr("cy", y(0)).attr("r", 4);
  const foot = plot.append("g").attr("class", "axis").attr("transform", `translate(0,${inner.height})`);
  foot.call(d3.axisBottom(x).ticks(5).tickSize(0).tickPadding(8));
  plot.append("g").attr("class", "axis").call(d3.axisLeft(y).ticks(5).tickSize(0).tickPadding(8));
  appendAxisLabel(plot, "α", inner.width / 2, inner.height + 36, 0);
  appendAxisLabel(plot, "β", -40, inner.height / 2, -90);
  appendColourKey(plot, surface, levels, colour, inner);
  container.replaceChildren(svg.node(), makeDashLegend(surface.paths));
}

/** Which dashes mean which outcome, of those that are there. */
function makeDashLegend(paths) {
  const outcomes = Object.keys(PATH_LOOKS).filter((outcome) => paths.some(({ correct }) => String(correct) === outcome));
  const items = outcomes.map((outcome) => {
    const svg = d3.create("svg").attr("width", 30).attr("height", 14).attr("aria-hidden", "true");
    svg.append("path").attr("class", "path-casing").attr("d", "M0,7H30");
    svg.append("path").attr("class", "path-line").attr("d", "M0,7H30").attr("stroke-dasharray", PATH_LOOKS[outcome].dashes);
    return make("li", {}, svg.node(), `path of a trajectory that is ${VERDICTS[outcome].name}`);
  });
  return make("ul", { class: "chart-legend fine" }, ...items);
}

function appendColourKey(plot, surface, levels, colour, inner) {
  const key = plot.append("g").attr("transform", `translate(${inner.width + 14},0)`);
  const height = Math.min(inner.height, 220) / levels.length;
  [...levels].reverse().forEach((level, n) => {
    key.append("rect").attr("y", 14 + n * height).attr("width", 12).attr("height", height + 0.5).attr("fill", colour(level));
    if (n % 3 === 0) key.append("text").attr("class", "axis-label").attr("x", 17).attr("y", 18 + (n + 0.5) * height).text(formatValue(Number((surface.is_log ? 10 ** level : level).toPrecision(2)), {}));
  });
  key.append("text").attr("class", "axis-label").attr("y", 8).text("nats");
}
