// The tokens of the selected trajectory as flowing text, shaded by what each did to L̂.

const LONGEST_TOKEN = 400; // characters shown of one token; a degenerate one would bury the others

/** Fill the container with one span a token and return the spans. Only the selected trajectory is ever in the page. */
function renderTokens(container, trajectory, trace) {
  const spans = trajectory.pieces.map((piece, i) => makeToken(piece, i));
  const children = [...spans];
  const isSplit = trajectory.reasoning_len < spans.length;
  if (isSplit) {
    const isTraced = trace !== null && trace.stepOf[trajectory.reasoning_len] >= 0;
    const label = isTraced ? "Final answer statement" : "Final answer statement, not traced";
    const rule = make("div", { class: "statement", role: "separator", "aria-label": label }, make("span", {}, label));
    children.splice(trajectory.reasoning_len, 0, rule);
  }
  container.replaceChildren(...children);
  container.scrollTop = 0;
  return spans;
}

function makeToken(piece, i) {
  // No isolation for each token: right-to-left words that span tokens must flow as one. Characters that would turn the
  // direction by force are never emitted (see text.js), and the container as a whole is isolated.
  const span = make("span", { class: "token", "data-i": i });
  if (piece === "") span.append(make("span", { class: "mark" }, "∅"));
  return appendText(span, piece, { limit: LONGEST_TOKEN });
}

/** Colour the spans: full colour where the size of the change reaches `scale` nats. */
function shadeTokens(spans, trace, scale) {
  spans.forEach((span, i) => {
    const change = changeAt(trace, i);
    span.classList.toggle("fall", change !== null && change < 0);
    span.classList.toggle("rise", change !== null && change > 0);
    span.classList.toggle("untraced", change === null);
    span.style.setProperty("--weight", shareOfScale(change, scale).toFixed(3));
  });
}

function shareOfScale(change, scale) {
  if (change === null || scale <= 0) return 0;
  return Math.min(1, Math.abs(change) / scale);
}

/** Find the token under an event's target, or null. */
function tokenIndexOf(target) {
  const span = target instanceof Element ? target.closest(".token") : null;
  return span ? Number(span.dataset.i) : null;
}

/** Scroll the container, and only it, until a child is in sight: the page stays where it is under pointer and eye. */
function revealInside(container, child) {
  const frame = container.getBoundingClientRect();
  const box = child.getBoundingClientRect();
  const margin = 8;
  if (box.top < frame.top + margin || box.bottom > frame.bottom - margin) {
    container.scrollTop += box.top + box.height / 2 - (frame.top + frame.height / 2);
  }
}
