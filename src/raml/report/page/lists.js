// What is listed around the reading view: overview, questions, trajectory cards, largest steps, manifest.

const VERDICTS = {
  true: { name: "right", icon: "✓" },
  false: { name: "wrong", icon: "✕" },
  null: { name: "undecided", icon: "?" },
  none: { name: "no answer", icon: "∅" },
};

/** Say by sign and word whether something is right: true, false, null where that is undecided, or "none". */
function makeVerdict(correct) {
  const { name, icon } = VERDICTS[String(correct)];
  return make("span", { class: `verdict ${name.replace(" ", "-")}` }, make("span", { "aria-hidden": "true" }, icon), ` ${name}`);
}

function formatFigure({ value, unit }) {
  if (value === null) return "–";
  if (unit === "share") return `${Math.round(100 * value)}%`;
  if (unit === "tokens") return value.toLocaleString("en", { maximumFractionDigits: 1 });
  return unit === "nats" ? formatNumber(value, 2) : value.toLocaleString("en");
}

function renderOverview({ container, definitions }, figures, models) {
  definitions.replaceChildren();
  for (const { label, definition } of figures) appendFact(definitions, label, definition);
  const tiles = figures.map((figure) =>
    make(
      "div",
      { class: "tile", title: figure.definition, "data-key": figure.key },
      make("dt", {}, figure.label),
      make("dd", { class: "value" }, formatFigure(figure)),
      make("dd", { class: "fine" }, figure.detail),
    ),
  );
  const names = models.map((name) => makeText("dd", name, { class: "data value names" }, { limit: 90 }));
  // Twelve fields fill whole rows: ten figures and the models on two of them; without readouts it is eight.
  container.classList.toggle("two-rows", figures.length > 7);
  container.replaceChildren(...tiles, make("div", { class: "tile" }, make("dt", {}, models.length > 1 ? "Models" : "Model"), ...names));
}

/** List questions from their summaries (filter.js); `groups` holds the trajectories of each. */
function renderQuestions(container, summaries, { numberOf, groups, sort }) {
  const items = summaries.map((summary) => {
    const { question } = summary;
    const group = groups.get(question.id);
    const nRight = group.filter((trajectory) => trajectory.correct === true).length;
    const score = group.length ? `${nRight} of ${group.length} right` : "no trajectories";
    const foot = make("span", { class: "item-foot" }, make("span", { class: "score" }, makeBar(group), score));
    const note = noteSorted(summary, sort);
    if (note !== null) foot.append(make("span", { class: "tag number" }, note));
    else if (question.domain) foot.append(makeText("bdi", question.domain, { class: "data tag" }));
    const button = make("button", { type: "button", class: "item", "data-id": question.id });
    const answer = make("span", { class: "item-answer" }, "answer ", makeText("bdi", flatten(question.answer), {}, { limit: 60 }));
    const head = make("span", { class: "item-head" }, make("span", { class: "number" }, `${numberOf(question)}`), answer);
    button.append(head, makeText("span", flatten(question.prompt), { class: "data item-prompt" }, { limit: 240 }), foot);
    return make("li", {}, button);
  });
  container.replaceChildren(...(items.length ? items : [make("li", { class: "fine none-found" }, "No question is like that.")]));
}

/** A bar of the shares right, undecided and wrong; the text beside it says the same. */
function makeBar(group) {
  const bar = make("span", { class: "bar", "aria-hidden": "true" });
  for (const correct of [true, null, false]) {
    const count = group.filter((trajectory) => trajectory.correct === correct).length;
    if (count === 0) continue;
    const part = make("span", { class: VERDICTS[String(correct)].name });
    part.style.flexGrow = String(count);
    bar.append(part);
  }
  return bar;
}

/** List the trajectories of a question, each with a small curve on a scale that they share. */
function renderCards(container, group, traceOf) {
  const traced = group.map(traceOf).filter((trace) => trace !== null);
  const top = traced.reduce((highest, { y }) => y.reduce((a, b) => Math.max(a, b), highest), 1e-9);
  const longest = traced.reduce((most, { x }) => Math.max(most, x.at(-1)), 1);
  const cards = group.map((trajectory) => {
    const trace = traceOf(trajectory);
    const size = `${countOf(trajectory.pieces.length, "token")} · #${trajectory.repeat}`;
    const button = make("button", { type: "button", class: "card", "data-id": trajectory.id });
    button.append(
      make("span", { class: "card-head" }, makeVerdict(trajectory.correct), make("span", { class: "number" }, size)),
      make("span", { class: "card-answer" }, ...describeAnswer(trajectory)),
      trace ? makeSparkline(trace, longest, top) : make("span", { class: "spark-empty" }, "no trace"),
      make("span", { class: "fine" }, describeCard(trajectory, trace)),
    );
    return make("li", {}, button);
  });
  container.replaceChildren(...cards);
}

function describeAnswer(trajectory) {
  if (trajectory.answer === null) return ["gave no answer"];
  return ["answered ", makeText("bdi", flatten(trajectory.answer), { class: "data strong" }, { limit: 40 })];
}

function describeCard(trajectory, trace) {
  const parts = [];
  if (trace) parts.push(`L̂ ${formatNumber(trace.y[0], 2)} → ${formatNumber(trace.y.at(-1), 2)}`);
  if (trajectory.mode === "nothink") parts.push("no thinking");
  if (trajectory.error !== null) parts.push("error");
  return parts.join(" · ") || "\u00a0";
}

function makeSparkline(trace, longest, top) {
  const svg = byId("sparkline").content.firstElementChild.cloneNode(true);
  const stride = Math.max(1, Math.floor(trace.x.length / 120));
  const points = [];
  for (let k = 0; k < trace.x.length; k += stride) {
    points.push(`${((100 * trace.x[k]) / longest).toFixed(2)},${(23 - (22 * trace.y[k]) / top).toFixed(2)}`);
  }
  svg.firstElementChild.setAttribute("points", points.join(" "));
  return svg;
}

/** A token after the few characters before it: a comma says little by itself. */
function makeInContext(trajectory, i, limit) {
  const start = Math.max(0, i - 4);
  const whole = trajectory.pieces.slice(start, i).join("").slice(-60).replace(/\s+/g, " ");
  // Where it is cut, it starts with a whole word.
  const before = whole.length > 16 ? whole.slice(-16).replace(/^\S*\s/, "") : whole;
  const piece = trajectory.pieces[i] === "" ? "∅" : trajectory.pieces[i];
  return [
    makeText("bdi", before.trimStart(), { class: "data context" }),
    makeText("bdi", piece, { class: "data context-token" }, { limit }),
  ];
}

function renderJumps(container, trajectory, trace) {
  const jumps = trace ? findJumps(trace, 4) : [];
  const items = jumps.map(({ i, change }) => {
    const button = make("button", { type: "button", class: `jump ${change < 0 ? "fall" : "rise"}`, "data-i": i });
    button.append(
      ...makeInContext(trajectory, i, 16),
      make("span", { class: "number" }, formatNumber(change, 2, { sign: true })),
    );
    button.setAttribute("aria-label", `Go to token ${i}, change ${formatNumber(change, 2, { sign: true })} nats`);
    return make("li", {}, button);
  });
  container.replaceChildren(...items);
}

/** List the sentences with what each did to L̂; those whose ends were not scored are left out. */
function renderSentences(container, trajectory, trace) {
  const sentences = trace ? listSentences(trajectory, trace) : [];
  const largest = d3.max(sentences, ({ change }) => Math.abs(change)) || 1;
  const items = sentences.map(({ start, end, change }) => {
    const text = flatten(trajectory.pieces.slice(start, end).join(""));
    const bar = make("span", { class: `sentence-bar ${change < 0 ? "fall" : "rise"}`, "aria-hidden": "true" });
    bar.style.width = `${((100 * Math.abs(change)) / largest).toFixed(1)}%`;
    const amount = make("span", { class: "number" }, formatNumber(change, 2, { sign: true }));
    const button = make("button", { type: "button", class: "sentence", "data-i": end - 1 });
    button.append(make("span", { class: "sentence-amount" }, amount, make("span", { class: "sentence-track" }, bar)), makeText("span", text || "⏎", { class: "data sentence-text" }, { limit: 160 }));
    button.setAttribute("aria-label", `Sentence of tokens ${start} to ${end - 1}, change ${formatNumber(change, 2, { sign: true })} nats`);
    return make("li", {}, button);
  });
  container.replaceChildren(...items);
  byId("sentences-box").hidden = items.length === 0;
}

function renderManifest(container, manifest) {
  const stages = manifest.stages.map((stage) => {
    const counts = [countOf(stage.n_units, "unit"), `${stage.n_new} new`, countOf(stage.n_errors, "error"), `${stage.wall_s.toFixed(1)} s`];
    const summary = make("summary", {}, makeText("bdi", stage.stage, { class: "data strong" }), ` ${counts.join(" · ")}`);
    const facts = make("dl", { class: "facts manifest-facts" });
    appendFact(facts, "Command", makeText("code", stage.command.join(" ")));
    if (stage.model) {
      const { name, revision, dtype, device, weights_sha256: weights } = stage.model;
      const where = [name, revision, dtype, device].filter((part) => part !== null).join(" · ");
      appendFact(facts, "Model", makeText("bdi", where), makeText("code", ` weights sha256 ${weights}`));
    }
    if (stage.seed !== null) appendFact(facts, "Seed", String(stage.seed));
    if (stage.git_commit !== null) appendFact(facts, "Source commit", makeText("code", stage.git_commit));
    appendFact(facts, "Versions", makeText("bdi", Object.entries(stage.versions).map((pair) => pair.join(" ")).join(" · ")));
    appendFact(facts, "Config", makePlain(JSON.stringify(stage.config, null, 2)));
    for (const [label, entries] of [["Read", stage.inputs], ["Wrote", stage.outputs]]) {
      if (entries.length) appendFact(facts, label, makeFiles(entries));
    }
    return make("details", {}, summary, facts);
  });
  container.replaceChildren(...(stages.length ? stages : [make("p", { class: "fine" }, "No manifest came with these records.")]));
}

/** Text with ordinary line breaks that need no mark, such as JSON written by this page. */
function makePlain(text) {
  const block = make("pre", { class: "data", tabindex: "0" });
  text.split("\n").forEach((line, n) => {
    if (n > 0) block.append("\n");
    appendText(block, line);
  });
  return block;
}

function makeFiles(entries) {
  const list = make("ul", { class: "files" });
  for (const { path, sha256, rows } of entries) {
    const item = make("li", {}, makeText("code", path), rows === null ? "" : ` ${countOf(rows, "row")} `);
    item.append(makeText("code", sha256, { class: "data hash" }));
    list.append(item);
  }
  return list;
}

function appendFact(list, label, ...children) {
  list.append(make("div", {}, make("dt", {}, label), make("dd", {}, ...children)));
}
