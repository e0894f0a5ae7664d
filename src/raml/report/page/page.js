// What is selected, and how pointer, keyboard and address move it. One state, one way to change each part of it.

const data = JSON.parse(byId("data").textContent);
const questionOf = new Map(data.questions.map((question) => [question.id, question]));
const trajectoryOf = new Map(data.trajectories.map((trajectory) => [trajectory.id, trajectory]));
const groups = new Map(data.questions.map((question) => [question.id, []]));
for (const mode of ["think", "nothink"]) {
  for (const trajectory of data.trajectories) if (trajectory.mode === mode) groups.get(trajectory.question_id).push(trajectory);
}

const traces = new Map(); // decoded when first needed
function traceOf(trajectory) {
  if (!traces.has(trajectory.id)) traces.set(trajectory.id, readTrace(trajectory));
  return traces.get(trajectory.id);
}

const readouts = new Map();
function readoutOf(trajectory) {
  if (!readouts.has(trajectory.id)) readouts.set(trajectory.id, readReadout(trajectory, traceOf(trajectory)));
  return readouts.get(trajectory.id);
}

const summaries = data.questions.map((question) => summarizeQuestion(question, groups.get(question.id), traceOf));

const state = { question: null, trajectory: null, index: null, list: null, curve: null, shown: [], found: [], view: "explorer", figure: null };

// --- selection ------------------------------------------------------------------------------------------------------

function selectQuestion(question, { trajectory, index } = {}) {
  state.question = question;
  const group = groups.get(question.id);
  markCurrent("questions", question.id);
  byId("question-title").textContent = `Question ${data.questions.indexOf(question) + 1}`;
  compared.choose(null);
  byId("prompt").replaceChildren(makePlain(question.prompt));
  renderQuestionFacts(question);
  renderCards(byId("trajectories"), group, traceOf);
  selectTrajectory(trajectory ?? group.find((candidate) => candidate.trace) ?? group[0] ?? null, { index });
}

function renderQuestionFacts(question) {
  const facts = byId("question-facts");
  facts.replaceChildren();
  appendFact(facts, "Gold answer", makeText("bdi", question.answer, { class: "data strong" }));
  if (question.domain) appendFact(facts, "Domain", makeText("bdi", question.domain));
  if (question.source) appendFact(facts, "Source", makeText("bdi", question.source));
}

function selectTrajectory(trajectory, { index } = {}) {
  state.trajectory = trajectory;
  state.index = null;
  state.list?.destroy();
  markCurrent("trajectories", trajectory?.id);
  const trace = trajectory ? traceOf(trajectory) : null;
  renderTrajectoryHead(trajectory, trace);
  state.list = trajectory ? makeTokenList(byId("tokens"), trajectory, trace) : null;
  renderJumps(byId("jumps"), trajectory, trace);
  renderSentences(byId("sentences"), trajectory, trace);
  search.clear();
  compared.offer(trajectory, groups.get(state.question.id));
  const readout = trajectory ? readoutOf(trajectory) : null;
  renderAnswerFacts(byId("answer-facts"), readout, trajectory);
  document.querySelector(".reading").classList.toggle("no-trace", trace === null);
  document.querySelector(".reading").classList.toggle("no-answers", readout === null);
  showScale();
  showCurve();
  // Without a wish, start where L̂ falls most: that is what one comes to see.
  const first = index ?? (trace ? findJumps(trace, 1)[0]?.i : undefined) ?? 0;
  moveTo(first, { reveal: index !== undefined });
}

function renderTrajectoryHead(trajectory, trace) {
  const title = byId("trajectory-title");
  title.replaceChildren(trajectory ? `Trajectory #${trajectory.repeat} ` : "No trajectory");
  if (trajectory) title.append(makeVerdict(trajectory.correct));
  byId("trajectory-facts").replaceChildren(...(trajectory ? describeTrajectory(trajectory) : []));
  showNote("trajectory-error", trajectory?.error ? ["Error: ", makeText("bdi", trajectory.error)] : []);
  showNote("trajectory-note", trajectory && !trace ? ["L̂ was not measured along this trajectory, so its tokens are not shaded."] : []);
}

function describeTrajectory(trajectory) {
  const cut = trajectory.finish === "length" ? ["cut off at the token limit"] : [];
  const parts = [
    [...describeAnswer(trajectory)],
    [`${countOf(trajectory.pieces.length, "token")}, ${trajectory.reasoning_len.toLocaleString("en")} of reasoning`],
    [trajectory.mode === "think" ? "thinking" : "no thinking"],
    cut,
    [makeText("bdi", trajectory.model)],
    [makeText("code", trajectory.id)],
  ].filter((part) => part.length);
  return parts.flatMap((part, n) => (n ? [" · ", ...part] : part));
}

function showNote(id, children) {
  byId(id).hidden = children.length === 0;
  byId(id).replaceChildren(...children);
}

function markCurrent(listId, id) {
  for (const button of byId(listId).querySelectorAll("button")) {
    const isCurrent = button.dataset.id === id;
    if (isCurrent) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    if (isCurrent) revealInside(byId(listId), button);
  }
}

// --- colours and curve ------------------------------------------------------------------------------------------------

function currentScale() {
  const trace = state.trajectory && traceOf(state.trajectory);
  return byId("scale").value === "own" && trace ? findOwnScale(trace) : data.change_scale;
}

function showScale() {
  const scale = currentScale();
  const digits = scale < 0.1 ? 4 : 2;
  byId("legend-low").textContent = formatNumber(-scale, digits);
  byId("legend-high").textContent = formatNumber(scale, digits, { sign: true });
  state.list?.shade(scale);
  compared.shade(scale);
}

function showCurve() {
  state.curve?.destroy();
  state.curve = null;
  const trace = state.trajectory && traceOf(state.trajectory);
  if (!trace) return;
  const isShown = byId("siblings").checked;
  const siblings = groups.get(state.question.id).filter((other) => isShown && other !== state.trajectory && other.trace);
  state.curve = drawCurve(byId("curve"), {
    trace,
    readout: readoutOf(state.trajectory),
    siblings: siblings.filter((other) => other !== compared.trajectory).map(traceOf),
    compared: compared.trajectory && traceOf(compared.trajectory),
    alpha: Number(byId("alpha").value),
    scale: currentScale(),
    // After x tokens the last one read is x − 1; before any token, the first is the nearest.
    onMove: (x) => moveTo(Math.max(0, x - 1), { reveal: true }),
  });
  byId("curve").setAttribute("aria-valuemax", String(state.trajectory.pieces.length - 1));
  placeMarker();
}

function placeMarker() {
  const trace = state.trajectory && traceOf(state.trajectory);
  const k = trace && state.index !== null ? trace.stepOf[state.index] : undefined;
  state.curve?.moveTo(k === undefined || k < 0 ? null : { x: trace.x[k + 1], y: trace.y[k + 1] });
  state.curve?.moveCompared(compared.point());
}

/** What the lines and colours of the curve in sight mean. */
function listCurveKeys() {
  const entries = byId("curve").parentElement.querySelectorAll(".curve-key > :has(> .key)");
  return [...entries].filter((entry) => entry.offsetParent !== null && entry.querySelector("input")?.checked !== false);
}

/** All numbers of the curve in sight, a row a prefix of each trajectory. */
function listCurveRows() {
  const rows = [["trajectory", "tokens read", "L-hat, nats", "smoothed", "own answer", "own answer is right"]];
  const alpha = Number(byId("alpha").value);
  const shown = [state.trajectory, ...(compared.trajectory ? [compared.trajectory] : [])];
  const others = byId("siblings").checked ? groups.get(state.question.id).filter((other) => other.trace && !shown.includes(other)) : [];
  for (const trajectory of [...shown, ...others]) {
    const trace = traceOf(trajectory);
    const readout = readoutOf(trajectory);
    if (trace === null) continue;
    const smoothed = smooth(trace.y, alpha);
    const answers = new Map(readout ? Array.from(readout.x, (x, k) => [x, readout.index[k]]) : []);
    trace.x.forEach((x, k) => {
      const entry = answers.get(x);
      const answer = entry === undefined ? [null, null] : [readout.answers[entry], String(readout.correct[entry])];
      rows.push([trajectory.id, x, trace.y[k], smoothed[k], ...answer]);
    });
  }
  return rows;
}

// --- the token at the cursor ----------------------------------------------------------------------------------------

/** Put the cursor on a token: in the text, on the curve, in the readout and, a moment later, in the address. */
function moveTo(index, { reveal = false, announce = false } = {}) {
  if (state.index !== null) state.list?.spanOf(state.index)?.classList.remove("current");
  const span = state.list?.spanOf(index);
  state.index = span ? index : null;
  span?.classList.add("current");
  if (span && reveal) revealInside(byId("tokens"), span);
  compared.follow(state.trajectory, state.index);
  placeMarker();
  showReadout();
  if (announce) byId("live").textContent = byId("curve").getAttribute("aria-valuetext");
  writeAddressSoon();
}

function showReadout() {
  const { index, trajectory } = state;
  const trace = trajectory && traceOf(trajectory);
  const nll = index === null ? null : nllAfter(trace, index);
  const change = index === null ? null : changeAt(trace, index);
  byId("read-index").textContent = index === null ? "" : String(index);
  const piece = index === null ? "" : trajectory.pieces[index];
  byId("read-token").replaceChildren(...(index === null ? ["–"] : makeInContext(trajectory, index, 60)));
  byId("read-nll").textContent = nll === null ? "–" : formatNumber(nll, 3);
  byId("read-change").textContent = change === null ? "–" : formatNumber(change, 3, { sign: true });
  byId("read-change").className = change === null || change === 0 ? "" : change < 0 ? "fall-text" : "rise-text";
  byId("read-probability").textContent = nll === null ? "–" : formatProbability(Math.exp(-nll));
  const answer = index === null ? null : answerAfter(readoutOf(trajectory), index);
  showOwnAnswer(answer, index);
  if (index === null) return;
  byId("curve").setAttribute("aria-valuenow", String(index));
  const measured = nll === null ? "not traced" : `L-hat ${formatNumber(nll, 2)}, change ${formatNumber(change, 2, { sign: true })}`;
  byId("curve").setAttribute("aria-valuetext", `Token ${index}, ${flatten(piece.slice(0, 40)) || "white space"}, ${measured}${nameOwnAnswer(answer)}`);
}

function showOwnAnswer(answer, index) {
  byId("read-answer-label").textContent = answer === null || answer.lastToken === index ? "Own answer after it" : `Own answer after token ${answer.lastToken}`;
  byId("read-answer").replaceChildren(...(answer === null ? ["–"] : makeOwnAnswer(answer)));
  byId("read-confidence").textContent = answer === null ? "–" : formatProbability(answer.confidence);
  byId("read-margin").textContent = answer === null || !Number.isFinite(answer.margin) ? "–" : formatNumber(answer.margin, 2);
}

/** The same for a screen reader; empty where no answer was read. */
function nameOwnAnswer(answer) {
  if (answer === null) return "";
  const text = answer.text === null ? "" : `${flatten(answer.text.slice(0, 40))}, `;
  return `, own answer ${text}${VERDICTS[answer.outcome].name}, confidence ${formatProbability(answer.confidence)}`;
}

function formatProbability(probability) {
  if (probability < 0.0005) return "< 0.1%";
  return `${(100 * probability).toFixed(1)}%`;
}

const lastPointer = { x: NaN, y: NaN };
/** Move to the token under the pointer, unless the text was scrolled under a pointer at rest: then keys keep the cursor. */
function followTokens(event) {
  const hasMoved = event.clientX !== lastPointer.x || event.clientY !== lastPointer.y;
  Object.assign(lastPointer, { x: event.clientX, y: event.clientY });
  const index = tokenIndexOf(event.target);
  if (index !== null && (hasMoved || event.type === "click")) moveTo(index);
}

// --- light and dark -----------------------------------------------------------------------------------------------------

const systemDark = matchMedia("(prefers-color-scheme: dark)");

function currentTheme() {
  return document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light");
}

function showTheme() {
  byId("theme-name").textContent = currentTheme() === "dark" ? "Dark" : "Light";
  for (const scene of document.querySelectorAll(".scene")) if (scene.childElementCount) scene.redraw();
}

function toggleTheme() {
  document.documentElement.dataset.theme = currentTheme() === "dark" ? "light" : "dark";
  showTheme();
}

/** Paper is white and holds everything: print in light colours, all tokens and what is folded included, then go back. */
function printLight() {
  const lists = [state.list, compared.list].filter(Boolean);
  const folded = [...document.querySelectorAll(".page-view:not([hidden]) details:not([open])")];
  const theme = document.documentElement.dataset.theme;
  for (const list of lists) list.showAll();
  for (const box of folded) box.open = true;
  document.documentElement.dataset.theme = "light";
  showTheme();
  const goBack = () => {
    for (const list of lists) list.showNear();
    for (const box of folded) box.open = false;
    restoreTheme(theme);
  };
  addEventListener("afterprint", goBack, { once: true });
}

function restoreTheme(theme) {
  if (theme === undefined) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  showTheme();
}

// --- start --------------------------------------------------------------------------------------------------------------

function describeSettings({ settings }) {
  if (!settings) return ["No trajectory of this run was traced."];
  const what = settings.target === "gold" ? "the gold answer" : "the answer that the trajectory itself ended with";
  const parts = [`L̂ is measured on ${what}, put after the prefix and this text: `, makeText("code", settings.bridge)];
  if (!data.trajectories.some((trajectory) => trajectory.readout)) return parts;
  return [...parts, " The own answer is what the model itself writes there, taking the most likely token each time."];
}

/** The paper's smoothing suits thousands of tokens; on short trajectories it would flatten all there is to see. */
function chooseAlpha() {
  const longest = Math.max(...data.trajectories.map((trajectory) => trajectory.pieces.length));
  return longest >= 1000 ? "0.01" : "0.1";
}

function onButton(listId, handle) {
  byId(listId).addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) handle(button.dataset);
  });
}

/** List the questions that text, outcome and order ask for. */
function showQuestions() {
  const wish = { text: byId("question-search").value, outcome: byId("question-outcome").value, sort: byId("question-sort").value };
  state.shown = chooseQuestions(summaries, wish);
  renderQuestions(byId("questions"), state.shown, { numberOf: (question) => data.questions.indexOf(question) + 1, groups, sort: wish.sort });
  byId("question-count").textContent = state.shown.length === data.questions.length ? "" : `${state.shown.length} of ${data.questions.length}`;
  if (state.question) markCurrent("questions", state.question.id);
}

function start() {
  renderTabs(data.views);
  renderOverview({ container: byId("overview"), definitions: byId("definitions") }, data.overview, data.models);
  renderManifest(byId("manifest"), data.manifest);
  if (data.settings?.target === "own") byId("target").textContent = "its own final";
  byId("settings").replaceChildren(...describeSettings(data));
  byId("alpha").value = chooseAlpha();
  const writeFigure = () => writeSvg(byId("curve").querySelector("svg"), `L-hat along trajectory ${state.trajectory.id}`, listCurveKeys());
  byId("curve-downloads").replaceChildren(makeDownloads("curve", "L-hat along the trajectory", { writeFigure, listRows: listCurveRows, hasLink: false }));
  for (const term of byId("terms").querySelectorAll("[data-of]")) {
    for (const place of document.querySelectorAll(term.dataset.of)) place.title = term.textContent.trim();
  }
  showQuestions();

  onButton("questions", ({ id }) => selectQuestion(questionOf.get(id)));
  onButton("trajectories", ({ id }) => selectTrajectory(trajectoryOf.get(id)));
  for (const list of ["answer-facts", "jumps", "sentences"]) onButton(list, ({ i }) => moveTo(Number(i), { reveal: true, announce: true }));
  for (const id of ["question-search", "question-outcome", "question-sort"]) byId(id).addEventListener("input", showQuestions);
  byId("tokens").addEventListener("pointerover", followTokens);
  byId("tokens").addEventListener("click", followTokens);
  byId("scale").addEventListener("change", () => (showScale(), showCurve()));
  byId("alpha").addEventListener("change", showCurve);
  byId("siblings").addEventListener("change", showCurve);
  byId("theme").addEventListener("click", toggleTheme);
  systemDark.addEventListener("change", showTheme);
  addEventListener("beforeprint", printLight);
  document.addEventListener("keydown", handleKey);
  addEventListener("hashchange", readAddress);
  byId("tabs").addEventListener("click", () => clearTimeout(addressTimer)); // else the old address may overwrite the tab's before it is read
  search.listen();
  compared.listen();

  readAddress();
  showTheme();
}

start();
