// A chart of the views: values over values, or values of named rows, with intervals; drawn by D3 as SVG.

const CHART = { top: 8, right: 14, bottom: 42, left: 54, height: 300, row: 26, lane: 7, mark: 46 }; // CSS pixels; lane: of a series in a row; mark: area
const SHAPES = ["symbolCircle", "symbolTriangle", "symbolDiamond", "symbolSquare", "symbolCross", "symbolStar", "symbolWye", "symbolDiamond2"];
const DASHES = ["none", "6 3", "2 3", "8 3 2 3", "1 2", "10 4", "4 2 1 2", "12 2"];

/** Make a figure from a chart of the payload: drawing, legend, caption, downloads. It draws itself when it is in the page. */
function makeChart(chart) {
  const canvas = make("div", { class: "chart", tabindex: "0", role: "img", "aria-label": `${plainText(chart.title)}. Left and right arrows move along its marks.` });
  const tip = make("div", { class: "tip", role: "status", hidden: "" });
  const legend = makeLegend(chart);
  const downloads = makeDownloads(chart.key, chart.title, {
    writeFigure: () => writeSvg(canvas.querySelector("svg"), chart.title, [...legend.children]),
    listRows: () => listChartRows(chart),
  });
  const figure = make(
    "figure",
    { class: "figure", id: `figure-${chart.key}` },
    make("div", { class: "figure-head" }, makeText("h3", chart.title), downloads),
    legend,
    make("div", { class: "chart-frame" }, canvas, tip),
    makeText("figcaption", chart.caption, { class: "fine data" }),
  );
  const pointsOf = new Map(chart.series.map((series) => [series, listPoints(chart, series)]));
  const points = chart.series.filter(({ faint }) => !faint).flatMap((series) => pointsOf.get(series));
  let frame = null;
  let current = -1;
  function show(n) {
    current = n;
    frame.svg.selectAll(".mark-shape").classed("pointed", (point) => point === points[n]);
    if (n < 0) return (tip.hidden = true);
    const point = points[n];
    tip.replaceChildren(...describePoint(chart, point));
    tip.hidden = false;
    const left = CHART.left + frame.shift + frame.x(point.x);
    tip.style.left = `${Math.min(left, canvas.clientWidth - 40)}px`;
    tip.style.top = `${CHART.top + frame.y(point.y) + frame.shiftOf(point.series) + 14}px`;
    tip.classList.toggle("tip-left", left > canvas.clientWidth / 2);
    return undefined;
  }
  function draw() {
    frame = drawChart(canvas, chart, pointsOf);
    frame.svg.selectAll(".mark-shape").on("pointerenter", (event, point) => show(points.indexOf(point)));
    frame.svg.on("pointerleave", () => show(-1));
  }
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step === undefined || points.length === 0) return;
    const from = current < 0 && step < 0 ? 0 : current; // back from none is the last
    show((from + step + points.length) % points.length);
    event.preventDefault();
    event.stopPropagation();
  });
  canvas.addEventListener("blur", () => show(-1));
  redrawOnResize(canvas, draw);
  return figure;
}

/** The marks of a series that have a place: on a logarithmic axis only what is above 0 has one. */
function listPoints(chart, series) {
  const isPlace = (value, { scale }) => value !== null && (scale !== "log" || value > 0);
  const points = series.x.map((x, n) => ({
    series, x, y: series.y[n], low: series.low[n] ?? null, high: series.high[n] ?? null, note: series.notes[n] ?? "",
  }));
  return points.filter(({ x, y }) => isPlace(x, chart.x) && isPlace(y, chart.y));
}

function formatValue(value, { scale }) {
  if (value === null) return "unknown";
  if (scale === "percent") return `${formatNumber(100 * value, 1)}%`;
  if (value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 1e6)) return value.toExponential(2).replace("-", "−");
  return Number(Math.abs(value).toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 }).replace(/^/, value < 0 ? "−" : "");
}

function describePoint(chart, point) {
  const [measured, axis] = chart.rows.length ? [point.x, chart.x] : [point.y, chart.y];
  const name = chart.rows.length ? `${chart.rows[point.y]}, ${point.series.name}` : point.series.name;
  const ends = point.low === null || point.high === null ? "" : ` [${formatValue(point.low, axis)}, ${formatValue(point.high, axis)}]`;
  const lines = [makeText("strong", name), make("span", {}, `${plainText(axis.label)}: ${formatValue(measured, axis)}${ends}`)];
  if (!chart.rows.length) lines.push(make("span", {}, `${plainText(chart.x.label)}: ${formatValue(point.x, chart.x)}`));
  if (point.note) lines.push(makeText("span", point.note, {}, { limit: 200 }));
  return lines;
}

function makeLegend(chart) {
  const entries = chart.series.filter((series, n) => chart.series.findIndex(({ name }) => name === series.name) === n);
  const items = entries.map((series) => {
    const svg = d3.create("svg").attr("width", 30).attr("height", 14).attr("aria-hidden", "true");
    if (series.line) svg.append("line").attr("class", `look-${series.look} series-line`).attr("x2", 30).attr("y1", 7).attr("y2", 7).attr("stroke-dasharray", DASHES[series.look % DASHES.length]);
    if (series.marks) svg.append("path").attr("class", `look-${series.look} mark-legend`).attr("transform", "translate(15,7)").attr("d", shapeOf(series));
    return make("li", {}, svg.node(), makeText("span", series.name, {}, { limit: 60 }));
  });
  return make("ul", { class: "chart-legend fine" }, ...(entries.length > 1 ? items : []));
}

function shapeOf(series) {
  const name = SHAPES[series.look % SHAPES.length];
  return d3.symbol(d3[name], name === "symbolStar" ? 2 * CHART.mark : CHART.mark)(); // its points are thin
}

/** All of a chart's numbers, a row a mark. */
function listChartRows(chart) {
  const measured = chart.rows.length ? chart.x.label : chart.y.label;
  const place = chart.rows.length ? "row" : chart.x.label;
  const rows = chart.series.flatMap((series) =>
    series.x.map((x, n) => {
      const y = series.y[n];
      const pair = chart.rows.length ? [chart.rows[y], x] : [x, y];
      return [series.name, ...pair, series.low[n] ?? null, series.high[n] ?? null, series.notes[n] ?? ""];
    }),
  );
  return [["series", place, measured, "low", "high", "note"], ...rows];
}

// --- drawing ------------------------------------------------------------------------------------------------------------

function drawChart(canvas, chart, pointsOf) {
  const hasRows = chart.rows.length > 0;
  const width = Math.max(canvas.clientWidth, 220);
  const names = chart.rows.map((name) => shortenName(name, width));
  const shift = hasRows ? Math.max(0, Math.min(0.42 * width, 12 + 6.6 * Math.max(...names.map((name) => name.length))) - CHART.left) : 0;
  const bold = chart.series.filter(({ faint }) => !faint);
  // Series of one row stand a little below each other, all of them nearer to it than to the next row.
  const shiftOf = (series) => (hasRows && !series.faint ? CHART.lane * (bold.indexOf(series) - (bold.length - 1) / 2) : 0);
  const rowHeight = Math.max(CHART.row, CHART.lane * (bold.length + 1));
  const height = hasRows ? CHART.top + CHART.bottom + rowHeight * chart.rows.length : CHART.height;
  const inner = { width: width - CHART.left - CHART.right - shift, height: height - CHART.top - CHART.bottom };
  const svg = d3.create("svg").attr("class", "chart-svg").attr("width", width).attr("height", height).attr("viewBox", `0 0 ${width} ${height}`);
  svg.attr("aria-hidden", "true");
  const plot = svg.append("g").attr("transform", `translate(${CHART.left + shift},${CHART.top})`);
  const everything = [...pointsOf.values()].flat();
  const x = makeScale(chart.x, everything.flatMap((p) => (hasRows ? [p.x, p.low, p.high] : [p.x])), [0, inner.width]);
  const y = hasRows ? d3.scaleLinear([-0.5, chart.rows.length - 0.5], [0, inner.height]) : makeScale(chart.y, everything.flatMap((p) => [p.y, p.low, p.high]), [inner.height, 0]);
  const frame = { svg, plot, x, y, inner, shift, shiftOf, hasRows };
  appendAxes(frame, chart, names);
  if (chart.diagonal) appendDiagonal(frame);
  for (const series of [...chart.series.filter(({ faint }) => faint), ...bold]) appendSeries(frame, series, pointsOf.get(series));
  canvas.replaceChildren(svg.node());
  return frame;
}

function shortenName(name, width) {
  const most = Math.floor((0.42 * width - 12) / 6.6);
  const text = plainText(name);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** A scale over all values, with a little air; at least one decade of a logarithmic one. */
function makeScale(axis, values, range) {
  const known = values.filter((value) => value !== null && (axis.scale !== "log" || value > 0));
  let [low, high] = known.length ? d3.extent(known) : axis.scale === "log" ? [1, 10] : [0, 1];
  if (axis.scale === "log") {
    if (high / low < 10) [low, high] = [low / Math.sqrt(10 / (high / low)), high * Math.sqrt(10 / (high / low))];
    return d3.scaleLog([low / 1.15, high * 1.15], range);
  }
  if (axis.zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  const air = 0.05 * (high - low || Math.abs(high) || 1);
  if (axis.scale === "percent") return d3.scaleLinear([Math.max(low - air, Math.min(low, 0)), Math.min(high + air, Math.max(high, 1))], range);
  return d3.scaleLinear([low - air, high + air], range);
}

function appendAxes({ plot, x, y, inner, shift, hasRows }, chart, names) {
  const gridX = plot.append("g").attr("class", "grid");
  const isWhole = !hasRows && chart.series.every((series) => series.x.every((value) => value === null || Number.isInteger(value)));
  const ticks = ticksOf(x, chart.x, Math.max(2, Math.floor(inner.width / 80))).filter((tick) => !isWhole || Number.isInteger(tick));
  gridX.selectAll("line").data(ticks).join("line").attr("x1", x).attr("x2", x).attr("y2", inner.height);
  if (!hasRows) {
    const gridY = plot.append("g").attr("class", "grid");
    gridY.selectAll("line").data(ticksOf(y, chart.y, 5)).join("line").attr("x2", inner.width).attr("y1", y).attr("y2", y);
  }
  const foot = plot.append("g").attr("class", "axis").attr("transform", `translate(0,${inner.height})`);
  foot.call(d3.axisBottom(x).tickValues(ticks).tickFormat((tick) => formatTick(tick, chart.x)).tickSize(0).tickPadding(8));
  const side = plot.append("g").attr("class", "axis");
  if (hasRows) side.call(d3.axisLeft(y).tickValues(d3.range(names.length)).tickFormat((n) => names[n]).tickSize(0).tickPadding(10));
  else side.call(d3.axisLeft(y).tickValues(ticksOf(y, chart.y, 5)).tickFormat((tick) => formatTick(tick, chart.y)).tickSize(0).tickPadding(8));
  appendAxisLabel(plot, chart.x.label, inner.width / 2, inner.height + 36, 0);
  if (!hasRows) appendAxisLabel(plot, chart.y.label, -44, inner.height / 2, -90);
  if (chart.x.zero) plot.append("line").attr("class", "zero").attr("x1", x(0)).attr("x2", x(0)).attr("y2", inner.height);
  if (chart.y.zero && !hasRows) plot.append("line").attr("class", "zero").attr("y1", y(0)).attr("y2", y(0)).attr("x2", inner.width);
}

function ticksOf(scale, { scale: kind }, count) {
  if (kind !== "log") return scale.ticks(count);
  const all = scale.ticks(count);
  const decades = all.filter((tick) => Math.abs(Math.log10(tick) - Math.round(Math.log10(tick))) < 1e-9);
  const stride = Math.max(1, Math.ceil(decades.length / count));
  if (decades.length >= 2) return decades.filter((_, n) => n % stride === 0);
  return all.filter((tick) => [1, 2, 5].includes(Math.round(tick / 10 ** Math.floor(Math.log10(tick) + 1e-9))));
}

function formatTick(tick, { scale }) {
  if (scale === "percent") return `${formatNumber(100 * tick, Math.abs(tick * 100 - Math.round(tick * 100)) < 1e-9 ? 0 : 1)}%`;
  if (tick !== 0 && (Math.abs(tick) < 0.001 || Math.abs(tick) >= 1e6)) return tick.toExponential(0).replace("-", "−");
  return `${tick < 0 ? "−" : ""}${Number(Math.abs(tick).toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 4 })}`;
}

function appendDiagonal({ plot, x, y }) {
  const low = Math.max(x.domain()[0], y.domain()[0]);
  const high = Math.min(x.domain()[1], y.domain()[1]);
  if (low < high) plot.append("line").attr("class", "diagonal").attr("x1", x(low)).attr("y1", y(low)).attr("x2", x(high)).attr("y2", y(high));
}

function appendSeries({ plot, x, y, shiftOf, hasRows }, series, points) {
  const group = plot.append("g").attr("class", `look-${series.look}${series.faint ? " faint" : ""}`).attr("transform", `translate(0,${shiftOf(series)})`);
  const known = points.filter(({ low, high }) => low !== null && high !== null);
  const bars = group.selectAll(".interval").data(known).join("line").attr("class", "interval");
  // On a logarithmic axis an end at or below 0 lies at the axis's foot.
  const at = (scale, value) => scale(Math.max(value, scale.domain()[0]));
  if (hasRows) bars.attr("x1", ({ low }) => at(x, low)).attr("x2", ({ high }) => at(x, high)).attr("y1", (p) => y(p.y)).attr("y2", (p) => y(p.y));
  else bars.attr("y1", ({ low }) => at(y, low)).attr("y2", ({ high }) => at(y, high)).attr("x1", (p) => x(p.x)).attr("x2", (p) => x(p.x));
  if (series.line) {
    const line = d3.line((p) => x(p.x).toFixed(1), (p) => y(p.y).toFixed(1));
    group.append("path").attr("class", "series-line").attr("stroke-dasharray", DASHES[series.look % DASHES.length]).attr("d", line(points));
  }
  if (!series.marks) return;
  const marks = group.selectAll(".mark-any").data(points).join("path").attr("d", shapeOf(series));
  marks.attr("class", series.faint ? "mark-faint" : "mark-shape").attr("transform", (p) => `translate(${x(p.x).toFixed(1)},${y(p.y).toFixed(1)})`);
}
