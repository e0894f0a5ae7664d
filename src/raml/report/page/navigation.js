// How address and keyboard name and change what is selected; the selection itself is in page.js.

// --- address ----------------------------------------------------------------------------------------------------------

let addressTimer = 0;
/** Browsers refuse an address that changes many times a second, so it follows when the cursor rests. */
function writeAddressSoon() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(() => {
    const view = new URLSearchParams({ q: state.question.id });
    if (state.trajectory) view.set("t", state.trajectory.id);
    if (state.index !== null) view.set("i", String(state.index));
    history.replaceState(null, "", `#${view}`);
  }, 250);
}

function readAddress() {
  const view = new URLSearchParams(location.hash.slice(1));
  const trajectory = trajectoryOf.get(view.get("t"));
  const question = trajectory ? questionOf.get(trajectory.question_id) : questionOf.get(view.get("q"));
  const isKnown = (trajectory || !view.get("t")) && (question || !view.get("q"));
  showNote("status", isKnown ? [] : ["The link names a question or trajectory that is not in this page."]);
  const index = /^\d+$/.test(view.get("i") ?? "") ? Number(view.get("i")) : undefined;
  selectQuestion(question ?? data.questions[0], trajectory ? { trajectory, index } : {});
}

// --- keyboard ---------------------------------------------------------------------------------------------------------

function stepToken(event) {
  const stride = event.shiftKey ? 10 : 1;
  const last = state.spans.length - 1;
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
  if (hadFocus) byId("trajectories").querySelector("[aria-current]").focus();
}

function stepQuestion(offset) {
  const next = data.questions[data.questions.indexOf(state.question) + offset];
  if (!next) return;
  selectQuestion(next);
  byId("questions").querySelector("[aria-current]").focus();
}

function handleKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !state.trajectory) return;
  const target = event.target instanceof Element ? event.target : document.body;
  if (target.closest("select, input, pre, summary")) return;
  const isInside = target.closest("#tokens, #curve, #trajectories") !== null;
  const offset = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
  const isVertical = event.key === "ArrowDown" || event.key === "ArrowUp";
  if (["ArrowLeft", "ArrowRight"].includes(event.key) || (isInside && ["Home", "End"].includes(event.key))) {
    if (state.spans.length) moveTo(stepToken(event), { reveal: true, announce: true });
  } else if (isVertical && target.closest("#questions")) {
    stepQuestion(offset);
  } else if (offset !== undefined && (isInside || !isVertical)) {
    stepTrajectory(offset);
  } else {
    return; // ours no more: up and down scroll the page elsewhere
  }
  event.preventDefault();
}
