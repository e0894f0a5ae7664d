// The curve of L̂ over the number of tokens read, as SVG; its cursor is moved by keyboard, tokens and pointer alike.

const CURVE = { top: 10, right: 12, bottom: 40, left: 46, strip: 9 }; // CSS pixels: margins, and the band of token colours

/**
 * Draw the curve of one trace over the smoothed curves of its siblings, and the readout, if there is one, as a strip below.
 *
 * `compared`, a trace or null, is drawn like a sibling but in a colour of its own. `onMove(x)` is called with the number of
 * tokens read under the pointer. Returns {moveTo, moveCompared, destroy}.
 */
function drawCurve(container, { trace, readout, siblings, compared, alpha, scale, onMove }) {
  const state = { point: null, comparedPoint: null };
  const last = trace.x[trace.x.length - 1];
  const reach = compared ? Math.max(last, compared.x[compared.x.length - 1]) : last;
  const all = compared ? [...siblings, compared] : siblings;
  const curves = {
    siblings: siblings.map(({ x, y }) => ({ x, y: smooth(y, alpha) })),
    compared: compared && { x: compared.x, y: smooth(compared.y, alpha) },
    raw: trace,
    smoothed: { x: trace.x, y: smooth(trace.y, alpha) },
  };
  let frame = null;

  function draw() {
    frame = makeFrame(container, { reach, top: findTop(trace, all, reach), hasAnswers: readout !== null });
    const { plot } = frame;
    for (const sibling of curves.siblings) appendLine(plot, sibling, frame, "line-sibling");
    appendStrip(plot, trace, scale, frame);
    if (curves.compared) appendLine(plot, curves.compared, frame, "line-compared");
    appendLine(plot, curves.raw, frame, "line-raw");
    appendLine(plot, curves.smoothed, frame, "line-smooth");
    if (readout) appendAnswers(plot, readout, last, frame);
    frame.markers = { own: appendMarker(plot, frame, "own"), compared: appendMarker(plot, frame, "compared") };
    followPointer(frame, reach, onMove);
    place();
  }
  function place() {
    setMarker(frame.markers.own, state.point, frame);
    setMarker(frame.markers.compared, state.comparedPoint, frame);
  }
  draw();
  const stop = redrawOnResize(container, draw);
  return {
    /** Move the cursor to a point {x: tokens read, y: L̂ there}; null hides it. */
    moveTo: (point) => ((state.point = point), place()),
    moveCompared: (point) => ((state.comparedPoint = point), place()),
    destroy: () => (stop(), container.replaceChildren()),
  };
}

/** Draw again when the container's size changes; returns what ends that. */
function redrawOnResize(container, draw) {
  const sizeOf = () => `${container.clientWidth} ${container.clientHeight}`;
  let size = sizeOf();
  const observer = new ResizeObserver(() => {
    if (sizeOf() === size) return;
    size = sizeOf();
    if (container.clientWidth > 0) draw();
  });
  observer.observe(container);
  return () => observer.disconnect();
}

/** Make the SVG with its axes; returns scales and the group that is drawn into. */
function makeFrame(container, { reach, top, hasAnswers }) {
  const width = Math.max(container.clientWidth, 200);
  const height = Math.max(container.clientHeight, 120);
  const below = hasAnswers ? ANSWER_STRIP.gap + ANSWER_STRIP.height + ANSWER_STRIP.marks : 0;
  const inner = { width: width - CURVE.left - CURVE.right, height: height - CURVE.top - CURVE.bottom - below };
  const x = d3.scaleLinear([0, Math.max(reach, 1)], [0, inner.width]);
  const y = d3.scaleLinear([0, top], [inner.height, 0]);
  const svg = d3.create("svg").attr("class", "chart-svg").attr("width", width).attr("height", height).attr("viewBox", `0 0 ${width} ${height}`);
  svg.attr("aria-hidden", "true"); // the container around it says what the cursor is on
  const plot = svg.append("g").attr("transform", `translate(${CURVE.left},${CURVE.top})`);
  appendGrid(plot, y, inner);
  const foot = plot.append("g").attr("class", "axis").attr("transform", `translate(0,${inner.height + below})`);
  foot.call(d3.axisBottom(x).ticks(Math.max(2, Math.floor(inner.width / 90))).tickFormat(d3.format(",d")).tickSize(0).tickPadding(7));
  plot.append("g").attr("class", "axis").call(d3.axisLeft(y).ticks(5).tickSize(0).tickPadding(7));
  appendAxisLabel(plot, "tokens read", inner.width / 2, inner.height + below + 36, 0);
  appendAxisLabel(plot, "L̂, nats", -36, inner.height / 2, -90);
  container.replaceChildren(svg.node());
  return { svg, plot, x, y, inner };
}

function appendGrid(plot, y, inner) {
  const lines = plot.append("g").attr("class", "grid").selectAll("line").data(y.ticks(5)).join("line");
  lines.attr("x2", inner.width).attr("y1", (tick) => y(tick)).attr("y2", (tick) => y(tick));
}

function appendAxisLabel(plot, text, x, y, angle) {
  const label = plot.append("text").attr("class", "axis-label").attr("text-anchor", "middle").text(plainText(text));
  label.attr("transform", `translate(${x},${y}) rotate(${angle})`);
}

/** Top of the y axis: the highest value in sight, with a little air. */
function findTop(trace, siblings, reach) {
  let top = 0;
  for (const { x, y } of [trace, ...siblings]) {
    for (let k = 0; k < x.length && x[k] <= reach; k++) top = Math.max(top, y[k]);
  }
  return top > 0 ? top * 1.05 : 1;
}

/** Append a line, at most four points a pixel: the first, lowest, highest and last of each. */
function appendLine(plot, { x, y }, frame, name) {
  const [, reach] = frame.x.domain();
  const points = [];
  let column = null;
  const close = () => column && points.push(...[column.first, column.low, column.high, column.last].sort((a, b) => a - b).filter((k, n, ks) => k !== ks[n - 1]));
  for (let k = 0; k < x.length && x[k] <= reach; k++) {
    const pixel = Math.floor(frame.x(x[k]));
    if (column?.pixel !== pixel) {
      close();
      column = { pixel, first: k, low: k, high: k, last: k };
    }
    column.last = k;
    if (y[k] < y[column.low]) column.low = k;
    if (y[k] > y[column.high]) column.high = k;
  }
  close();
  const line = d3.line((k) => frame.x(x[k]).toFixed(1), (k) => frame.y(y[k]).toFixed(1));
  plot.append("path").attr("class", name).attr("d", line(points));
}

/** Paint the tokens' colours along the foot of the curve, the largest change of each pixel on top. */
function appendStrip(plot, trace, scale, { x, inner }) {
  const strongest = new Map();
  for (let i = 0; i < trace.x[trace.x.length - 1]; i++) {
    const from = Math.round(x(i));
    const to = Math.max(from + 1, Math.round(x(i + 1)));
    const change = changeAt(trace, i);
    const known = strongest.get(from);
    if (known === undefined || Math.abs(change) > Math.abs(known.change)) strongest.set(from, { from, to, change });
  }
  const marks = plot.append("g").selectAll("rect").data([...strongest.values()].filter(({ change }) => change)).join("rect");
  marks.attr("class", ({ change }) => (change < 0 ? "strip-fall" : "strip-rise"));
  marks.attr("x", ({ from }) => from).attr("width", ({ from, to }) => to - from);
  marks.attr("y", inner.height - CURVE.strip).attr("height", CURVE.strip);
  marks.attr("opacity", ({ change }) => shareOfScale(change, scale).toFixed(3));
}

/** The cursor: a line over the whole height and a dot on the curve. */
function appendMarker(plot, { inner }, name) {
  const marker = plot.append("g").attr("class", `marker marker-${name}`);
  marker.append("line").attr("class", "marker-line").attr("y2", inner.height);
  marker.append("circle").attr("class", "marker-dot").attr("r", 5);
  return marker;
}

function setMarker(marker, point, { x, y }) {
  marker.attr("visibility", point === null ? "hidden" : "visible");
  if (point === null) return;
  marker.attr("transform", `translate(${x(point.x)},0)`);
  marker.select("circle").attr("cy", y(point.y));
}

/** Report the pointer's place as a number of tokens read; a finger may drag along the curve too. */
function followPointer({ svg, plot, x, inner }, reach, onMove) {
  plot.append("rect").attr("class", "over").attr("width", inner.width).attr("height", inner.height);
  function report(event) {
    const [left] = d3.pointer(event, plot.node());
    onMove(Math.min(reach, Math.max(0, Math.round(x.invert(left)))));
  }
  // The whole plot, not the curve alone: the strip under the axis is pointed at as well.
  svg.on("pointermove", report).on("pointerdown", report);
}
