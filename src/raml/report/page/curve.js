// The curve of L̂ over the number of tokens read, drawn by uPlot; the cursor on it is ours, so that keyboard, tokens and
// pointer all move the same one.

const STRIP_HEIGHT = 9; // CSS pixels of the band of token colours at the foot of the curve

/** Read a colour of the style sheet as the canvas needs it. */
function readColour(name) {
  const probe = make("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/**
 * Draw the curve of one trace over the smoothed curves of its siblings, and the readout, if there is one, as a strip below.
 *
 * `onMove(x)` is called with the number of tokens read under the pointer. Returns {moveTo, destroy}.
 */
function drawCurve(container, { trace, readout, siblings, alpha, scale, onMove }) {
  const data = [trace.x, trace.y, smooth(trace.y, alpha)].map((column) => Array.from(column));
  const others = siblings.map(({ x, y }) => ({ x, y: smooth(y, alpha) }));
  const last = trace.x[trace.x.length - 1];
  const marker = makeMarker();
  const plot = new uPlot(
    {
      ...measureCurve(container),
      legend: { show: false },
      cursor: { show: false },
      padding: [10, 12, 0, 0],
      scales: { x: { time: false, range: [0, Math.max(last, 1)] }, y: { range: () => [0, findTop(trace, siblings, last)] } },
      axes: makeAxes(readout !== null),
      series: [{}, makeLine("--raw", 1), makeLine("--smooth", 2.5)],
      hooks: {
        drawAxes: [(u) => drawSiblings(u, others)],
        draw: [(u) => drawStrip(u, trace, scale), (u) => readout && drawAnswers(u, readout, last), () => marker.place()],
      },
    },
    data,
    container,
  );
  marker.attach(plot);
  followPointer(plot, last, onMove);
  const observer = new ResizeObserver(() => plot.setSize(measureCurve(container)));
  observer.observe(container);
  return {
    moveTo: marker.moveTo,
    destroy() {
      observer.disconnect();
      plot.destroy();
    },
  };
}

function measureCurve(container) {
  return { width: Math.max(container.clientWidth, 200), height: Math.max(container.clientHeight, 120) };
}

/** Top of the y axis: the highest value in sight, with a little air. */
function findTop(trace, siblings, last) {
  let top = 0;
  for (const { x, y } of [trace, ...siblings]) {
    for (let k = 0; k < x.length && x[k] <= last; k++) top = Math.max(top, y[k]);
  }
  return top > 0 ? top * 1.05 : 1;
}

function makeLine(colour, width) {
  return { stroke: () => readColour(colour), width, points: { show: false } };
}

function makeAxes(hasAnswers) {
  const below = hasAnswers ? ANSWER_STRIP.gap + ANSWER_STRIP.height + ANSWER_STRIP.marks : 0;
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const shared = {
    stroke: () => readColour("--muted"),
    grid: { stroke: () => readColour("--line"), width: 1 },
    ticks: { show: false },
    font,
    labelFont: font,
  };
  return [
    { ...shared, label: "tokens read", labelSize: 18, size: 26 + below, gap: 5 + below, grid: { show: false } },
    { ...shared, label: "L̂, nats", labelSize: 18, size: 38 },
  ];
}

/**
 * Draw the siblings' curves under the chosen one, at most one point a pixel.
 *
 * Not as series of the plot: it would want all of them measured at the same prefixes, and dozens of them cost much.
 */
function drawSiblings(plot, siblings) {
  plot.ctx.save();
  clipToPlot(plot);
  plot.ctx.strokeStyle = readColour("--sibling");
  plot.ctx.lineWidth = devicePixelRatio;
  for (const { x, y } of siblings) {
    plot.ctx.beginPath();
    let drawn = -Infinity;
    for (let k = 0; k < x.length; k++) {
      const left = plot.valToPos(x[k], "x", true);
      if (left - drawn < 1 && k < x.length - 1) continue;
      plot.ctx.lineTo(left, plot.valToPos(y[k], "y", true));
      drawn = left;
    }
    plot.ctx.stroke();
  }
  plot.ctx.restore();
}

function clipToPlot(plot) {
  const { left, top, width, height } = plot.bbox;
  plot.ctx.beginPath();
  plot.ctx.rect(left, top, width, height);
  plot.ctx.clip();
}

/** Paint the tokens' colours along the foot of the curve, the largest change of each pixel on top. */
function drawStrip(plot, trace, scale) {
  const foot = plot.bbox.top + plot.bbox.height;
  const strip = STRIP_HEIGHT * devicePixelRatio;
  const strongest = new Map();
  for (let i = 0; i < trace.x[trace.x.length - 1]; i++) {
    const from = Math.round(plot.valToPos(i, "x", true));
    const to = Math.max(from + 1, Math.round(plot.valToPos(i + 1, "x", true)));
    const change = changeAt(trace, i);
    const known = strongest.get(from);
    if (known === undefined || Math.abs(change) > Math.abs(known.change)) strongest.set(from, { to, change });
  }
  const colours = { fall: readColour("--fall"), rise: readColour("--rise") };
  plot.ctx.save();
  clipToPlot(plot);
  for (const [from, { to, change }] of strongest) {
    plot.ctx.globalAlpha = shareOfScale(change, scale);
    plot.ctx.fillStyle = change < 0 ? colours.fall : colours.rise;
    plot.ctx.fillRect(from, foot - strip, to - from, strip);
  }
  plot.ctx.restore();
}

/** The cursor: a line over the whole height and a dot on the raw curve. */
function makeMarker() {
  const line = make("div", { class: "marker-line" });
  const dot = make("div", { class: "marker-dot" });
  let plot = null;
  let point = null;
  function place() {
    const isShown = plot !== null && point !== null;
    line.hidden = dot.hidden = !isShown;
    if (!isShown) return;
    const left = plot.valToPos(point.x, "x");
    line.style.left = dot.style.left = `${left}px`;
    dot.style.top = `${plot.valToPos(point.y, "y")}px`;
  }
  return {
    place,
    attach(newPlot) {
      plot = newPlot;
      plot.over.append(line, dot);
      place();
    },
    /** Move to a point {x: tokens read, y: L̂ there}; null hides the cursor. */
    moveTo(newPoint) {
      point = newPoint;
      place();
    },
  };
}

/** Report the pointer's place as a number of tokens read; a finger may drag along the curve too. */
function followPointer(plot, last, onMove) {
  function report(event) {
    const left = event.clientX - plot.over.getBoundingClientRect().left;
    onMove(Math.min(last, Math.max(0, Math.round(plot.posToVal(left, "x")))));
  }
  // The whole plot, not the curve alone: the strip under the axis is pointed at as well.
  plot.root.addEventListener("pointermove", report);
  plot.root.addEventListener("pointerdown", report);
}
