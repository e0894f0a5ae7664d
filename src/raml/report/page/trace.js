// The payload's arrays, and what is computed from them: change at each token, smoothing, scale, largest steps.

function decodeBytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer;
}

/**
 * Decode a trajectory's trace.
 *
 * x[k] tokens had been read when the answer's mean NLL was y[k]. stepOf[i] is the k for which token i lies between x[k] and
 * x[k + 1], or −1 where nothing was measured; a trace that skips prefixes has several tokens in one step.
 */
function readTrace(trajectory) {
  if (!trajectory.trace) return null;
  const x = new Int32Array(decodeBytes(trajectory.trace.prefix_lens));
  const y = new Float32Array(decodeBytes(trajectory.trace.mean_nll));
  return { x, y, stepOf: findSteps(x, trajectory.pieces.length) };
}

function findSteps(x, nTokens) {
  const stepOf = new Int32Array(nTokens).fill(-1);
  for (let k = 0; k + 1 < x.length; k++) stepOf.fill(k, x[k], x[k + 1]);
  return stepOf;
}

/** L̂ after a token, minus before it, in nats; shared evenly by the tokens of one step. Null where nothing was measured. */
function changeAt(trace, i) {
  const k = trace ? trace.stepOf[i] : undefined;
  if (k === undefined || k < 0) return null;
  return (trace.y[k + 1] - trace.y[k]) / (trace.x[k + 1] - trace.x[k]);
}

/** L̂ at the end of the step that holds token i. */
function nllAfter(trace, i) {
  const k = trace ? trace.stepOf[i] : undefined;
  return k === undefined || k < 0 ? null : trace.y[k + 1];
}

/** Exponential moving average that starts at the first value. */
function smooth(values, alpha) {
  const smoothed = new Float64Array(values.length);
  let state = values[0];
  for (let k = 0; k < values.length; k++) {
    state += alpha * (values[k] - state);
    smoothed[k] = state;
  }
  return smoothed;
}

/** 95th percentile of the sizes of change along one trace, by linear interpolation as in the run's scale. */
function findOwnScale(trace) {
  const sizes = [];
  for (let k = 0; k + 1 < trace.x.length; k++) {
    sizes.push(Math.abs(trace.y[k + 1] - trace.y[k]) / (trace.x[k + 1] - trace.x[k]));
  }
  if (sizes.length === 0) return 0;
  sizes.sort((a, b) => a - b);
  const place = 0.95 * (sizes.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, sizes.length - 1);
  return sizes[low] + (place - low) * (sizes[high] - sizes[low]);
}

/** Tokens where the step down or up was largest: [{i, change}], falls first, at most `count` of each. */
function findJumps(trace, count) {
  const steps = [];
  for (let k = 0; k + 1 < trace.x.length; k++) steps.push({ i: trace.x[k], change: changeAt(trace, trace.x[k]) });
  steps.sort((a, b) => a.change - b.change || a.i - b.i);
  const falls = steps.slice(0, count).filter((step) => step.change < 0);
  const rises = steps.slice(-count).reverse().filter((step) => step.change > 0);
  return [...falls, ...rises];
}

/** The change of L̂ over each sentence of a trajectory whose ends were both scored: [{start, end, change}]. */
function listSentences(trajectory, trace) {
  const borders = Array.from(new Int32Array(decodeBytes(trajectory.sentence_borders)));
  const nllAt = new Map(Array.from(trace.x, (x, k) => [x, trace.y[k]]));
  const known = borders.slice(1).map((end, n) => ({ start: borders[n], end }));
  return known.filter(({ start, end }) => nllAt.has(start) && nllAt.has(end)).map(({ start, end }) => ({ start, end, change: nllAt.get(end) - nllAt.get(start) }));
}
