// The model's own answers along a trajectory: what it would say at each place, and the strip of them under the curve.

const ANSWER_STRIP = { gap: 4, height: 10, marks: 9 }; // CSS pixels: above the strip, the strip, and the marks under it

/** How much of the strip's height an outcome fills: it tells them apart where colours do not. */
const OUTCOME_SHARES = { true: 1, null: 0.75, false: 0.5, none: 0.2 };

/**
 * Decode a trajectory's readout.
 *
 * After x[k] tokens the model's own answer was answers[index[k]]; correct[index[k]] is true, false or null as for
 * trajectories, and an answer of null is none. Answers that count as the same share a number in kinds. stepOf is that of a
 * trace.
 */
function readReadout(trajectory, trace) {
  const source = trajectory.readout;
  if (!source || !trace) return null;
  const x = source.prefix_lens === null ? trace.x : new Int32Array(decodeBytes(source.prefix_lens));
  const bytes = decodeBytes(source.index);
  return {
    ...source,
    x,
    index: source.answers.length > 256 ? new Int32Array(bytes) : new Uint8Array(bytes),
    meanLogprob: new Float32Array(decodeBytes(source.mean_logprob)),
    margin: new Float32Array(decodeBytes(source.margin)),
    stepOf: findSteps(x, trajectory.pieces.length),
  };
}

/** "true", "false", "null" or "none", as in VERDICTS and OUTCOME_SHARES. */
function outcomeAt(readout, k) {
  const entry = readout.index[k];
  return readout.answers[entry] === null ? "none" : String(readout.correct[entry]);
}

/** Whether the answer at a place is another one than at the place before. */
function hasChanged(readout, k) {
  return readout.kinds[readout.index[k]] !== readout.kinds[readout.index[k - 1]];
}

/** The answer at the end of the step that holds token i; null where none was asked for. */
function answerAfter(readout, i) {
  const step = readout ? readout.stepOf[i] : undefined;
  if (step === undefined || step < 0) return null;
  const k = step + 1;
  return {
    text: readout.answers[readout.index[k]],
    outcome: outcomeAt(readout, k),
    confidence: Math.exp(readout.meanLogprob[k]),
    margin: readout.margin[k],
    lastToken: readout.x[k] - 1,
  };
}

function makeOwnAnswer({ text, outcome }) {
  const verdict = makeVerdict(outcome);
  return text === null ? [verdict] : [makeText("bdi", text || "∅", { class: "data" }, { limit: 60 }), verdict];
}

/** Say where the answer is first right, where it changes last, and how much of the reasoning comes after that. */
function renderAnswerFacts(container, readout, trajectory) {
  container.replaceChildren();
  if (readout === null) return;
  const { first_right: first, last_change: last, overthinking } = readout;
  appendFact(container, "▲ First right", ...describePlace(first, "from the start"));
  appendFact(container, "◆ Last change", ...describePlace(last, "none"));
  const share = overthinking === null ? "–" : `${Math.round(100 * overthinking)}%`;
  const counts = ` ${trajectory.reasoning_len - last} of ${countOf(trajectory.reasoning_len, "token")}`;
  appendFact(container, "Overthinking", make("span", { class: "number" }, share), make("span", { class: "fine" }, counts));
  container.lastElementChild.title = byId("term-overthinking").textContent;
}

function describePlace(nRead, atStart) {
  if (nRead === null) return ["never"];
  if (nRead === 0) return [atStart];
  return [make("button", { type: "button", class: "place", "data-i": nRead - 1 }, `token ${nRead - 1}`)];
}

/** Draw under the x axis what the model would answer after each token; a notch is where its answer changes. */
function appendAnswers(plot, readout, last, frame) {
  const top = frame.inner.height + ANSWER_STRIP.gap;
  const strip = plot.append("g").attr("class", "answers");
  const notch = 1.5;
  findStretches(readout, last, frame.x).forEach(({ from, to, outcome }, n) => {
    const height = Math.max(1, ANSWER_STRIP.height * OUTCOME_SHARES[outcome]);
    // The notch is taken from the wider stretch only, so that no answer is lost.
    const start = n > 0 && to - from > 2 * notch ? from + notch : from;
    const mark = strip.append("rect").attr("class", `answer-${outcome}`).attr("x", start).attr("width", Math.max(to - start, 1));
    mark.attr("y", top + ANSWER_STRIP.height - height).attr("height", height);
  });
  appendLandmarks(strip, readout, last, top + ANSWER_STRIP.height + 2, frame.x);
}

/** Stretches of one answer in pixels. What is said before the first token stands left of the axis. */
function findStretches(readout, last, x) {
  const stretches = [{ from: -7, to: 0, outcome: outcomeAt(readout, 0) }];
  for (let k = 1; k < readout.x.length && readout.x[k - 1] < last; k++) {
    const to = x(Math.min(readout.x[k], last));
    const open = stretches.at(-1);
    if (hasChanged(readout, k)) stretches.push({ from: open.to, to, outcome: outcomeAt(readout, k) });
    else open.to = to;
  }
  return stretches;
}

/** A triangle where the answer is first right and a diamond where it changes last, side by side if that is one place. */
function appendLandmarks(strip, readout, last, top, x) {
  const size = ANSWER_STRIP.marks - 2;
  const place = (nRead) => (nRead === null || nRead === 0 || nRead > last ? null : x(nRead));
  let [first, change] = [place(readout.first_right), place(readout.last_change)];
  if (first !== null && change !== null && change - first < 1.2 * size) {
    const middle = (first + change) / 2;
    [first, change] = [middle - 0.6 * size, middle + 0.6 * size];
  }
  const half = size / 2;
  const [middle, foot] = [top + half, top + size];
  const append = (name, points) => strip.append("polygon").attr("class", name).attr("points", points.map((point) => point.join(",")).join(" "));
  if (first !== null) append("landmark-first", [[first, top], [first + half, foot], [first - half, foot]]);
  if (change !== null) append("landmark-change", [[change, top], [change + half, middle], [change, foot], [change - half, middle]]);
}
