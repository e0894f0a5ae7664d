// How address and keyboard name and change what is selected; the selection itself is in page.js.

// --- address ----------------------------------------------------------------------------------------------------------

let addressTimer = 0;
/** Browsers refuse an address that changes many times a second, so it follows when the cursor rests. */
function writeAddressSoon() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(() => {
    const view = new URLSearchParams();
    if (state.figure) view.set("f", state.figure);
    else if (state.view !== "explorer") view.set("v", state.view);
    view.set("q", state.question.id);
    if (state.trajectory) view.set("t", state.trajectory.id);
    if (state.index !== null) view.set("i", String(state.index));
    if (compared.trajectory) view.set("c", compared.trajectory.id);
    history.replaceState(null, "", `#${view}`);
  }, 250);
}

/**
 * Select what the address names; one that names only a view or a figure leaves the rest as it is, one that names nothing
 * leaves all.
 */
function readAddress() {
  const view = new URLSearchParams(location.hash.slice(1));
  const home = view.has("f") ? data.views.find(({ parts }) => parts.some(({ key }) => key === view.get("f"))) : undefined;
  if (home) view.set("v", home.key);
  if (state.question && !["f", "v", "q", "t"].some((name) => view.has(name))) return writeAddressSoon(); // as the skip link does
  const isView = byId(`view-${view.get("v")}`)?.classList.contains("page-view");
  state.view = isView ? view.get("v") : "explorer";
  showView(state.view);
  state.figure = home ? view.get("f") : null;
  if (home) byId(`figure-${state.figure}`).scrollIntoView();
  if (state.question && !view.has("q") && !view.has("t")) return writeAddressSoon();
  const trajectory = trajectoryOf.get(view.get("t"));
  const question = trajectory ? questionOf.get(trajectory.question_id) : questionOf.get(view.get("q"));
  const other = trajectoryOf.get(view.get("c"));
  const isKnown = (home || !view.get("f")) && (trajectory || !view.get("t")) && (question || !view.get("q")) && (other || !view.get("c")) && (isView || !view.get("v"));
  showNote("status", isKnown ? [] : ["The link names a question, trajectory, view or figure that is not in this page."]);
  const index = /^\d+$/.test(view.get("i") ?? "") ? Number(view.get("i")) : undefined;
  selectQuestion(question ?? data.questions[0], trajectory ? { trajectory, index } : {});
  if (other && other !== trajectory && other.question_id === state.question.id) compared.choose(other);
  return undefined;
}

// --- keyboard ---------------------------------------------------------------------------------------------------------

function stepToken(event) {
  const stride = event.shiftKey ? 10 : 1;
  const last = state.list.length - 1;
  const from = state.index ?? -1;
  const targets = { ArrowLeft: from - stride, ArrowRight: from + stride, Home: 0, End: last };
  return Math.min(last, Math.max(0, targets[event.key]));
}

function stepTrajectory(offset) {
  const group = groups.get(state.question.id);
  const next = group[group.indexOf(state.trajectory) + offset];
  if (!next) return;
  const hadFocus = document.activeElement.closest("#trajectories") !== null;
  selectTrajectory(next);
  byId("live").textContent = `Trajectory ${next.repeat}, ${VERDICTS[String(next.correct)].name}`;
  if (hadFocus) byId("trajectories").querySelector("[aria-current]").focus();
}

function stepQuestion(offset) {
  const place = state.shown.findIndex(({ question }) => question === state.question);
  const next = state.shown[place < 0 ? 0 : place + offset]?.question;
  if (!next) return;
  selectQuestion(next);
  byId("questions").querySelector("[aria-current]").focus();
}

function handleKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || state.view !== "explorer") return;
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.key === "Escape" && target.matches("input[type=search]")) return target.blur();
  if (target.closest("select, input, pre, summary")) return;
  if (event.key === "/") {
    // In the text it searches the text, elsewhere the questions.
    byId(target.closest(".reading") ? "find" : "question-search").focus();
    return event.preventDefault();
  }
  const isInside = target.closest("#tokens, #curve, #trajectories") !== null;
  const offset = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
  const isVertical = event.key === "ArrowDown" || event.key === "ArrowUp";
  if (["ArrowLeft", "ArrowRight"].includes(event.key) || (isInside && ["Home", "End"].includes(event.key))) {
    if (state.list?.length) moveTo(stepToken(event), { reveal: true, announce: true });
  } else if (offset !== undefined && target.closest("#questions")) {
    stepQuestion(offset);
  } else if (offset !== undefined && (isInside || !isVertical)) {
    stepTrajectory(offset);
  } else {
    return undefined; // ours no more: up and down scroll the page elsewhere
  }
  return event.preventDefault();
}

// --- search in the trajectory ---------------------------------------------------------------------------------------------

/** Find text among the tokens, which the browser's own search can't: those out of sight may not be in the page. */
const search = {
  clear() {
    byId("find").value = "";
    this.run();
  },
  run() {
    state.found = state.trajectory ? findTokens(state.trajectory, byId("find").value) : [];
    this.tell(state.found.indexOf(state.index));
  },
  tell(place) {
    const n = state.found.length;
    byId("find-count").textContent = byId("find").value === "" ? "" : n === 0 ? "not found" : place < 0 ? `${n} found` : `${place + 1} of ${n}`;
  },
  go(isBack) {
    if (state.found.length === 0) return;
    const from = state.index ?? -1;
    const later = isBack ? state.found.findLastIndex((i) => i < from) : state.found.findIndex((i) => i > from);
    const place = later >= 0 ? later : isBack ? state.found.length - 1 : 0;
    moveTo(state.found[place], { reveal: true, announce: true });
    this.tell(place);
  },
  listen() {
    byId("find").addEventListener("input", () => this.run());
    byId("find").addEventListener("keydown", (event) => event.key === "Enter" && this.go(event.shiftKey));
  },
};
