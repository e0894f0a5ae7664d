// The tokens of a trajectory as flowing text, shaded by what each did to L̂. Long ones are in the page only where they are
// in sight.

const LONGEST_TOKEN = 400; // characters shown of one token; a degenerate one would bury the others
const CHUNK = { tokens: 300, most: 1200, characters: 20_000 }; // where a chunk may end at a line break, and where it must
const WHOLE = 3000; // tokens up to which all of a trajectory is in the page at once

/**
 * Fill the container with a trajectory's tokens.
 *
 * Returns {length, spanOf, shade, showAll, showNear, destroy}: `spanOf(i)` is the token's element, made if it was not there;
 * `shade(scale)` colours all tokens, full where the size of the change reaches `scale` nats.
 */
function makeTokenList(container, trajectory, trace) {
  const chunks = splitChunks(trajectory).map((range) => ({ ...range, element: make("div", { class: "chunk" }), spans: null }));
  const isWhole = trajectory.pieces.length <= WHOLE;
  let scale = 0;

  function build(chunk) {
    if (chunk.spans) return;
    chunk.spans = trajectory.pieces.slice(chunk.start, chunk.end).map((piece, n) => makeToken(piece, chunk.start + n));
    chunk.spans.forEach((span, n) => shadeToken(span, changeAt(trace, chunk.start + n), scale));
    chunk.element.replaceChildren(...chunk.spans);
    chunk.element.style.minHeight = "";
    if (chunk.isStatement) chunk.element.prepend(makeRule(trajectory, trace));
  }
  function drop(chunk) {
    if (!chunk.spans || chunk.spans.some((span) => span.classList.contains("current"))) return;
    chunk.element.style.minHeight = `${chunk.element.offsetHeight}px`;
    chunk.spans = null;
    chunk.element.replaceChildren();
  }
  const observer = new IntersectionObserver(
    (entries) => entries.forEach(({ target, isIntersecting }) => (isIntersecting ? build : drop)(chunks[Number(target.dataset.chunk)])),
    { root: container, rootMargin: "1200px 0px" },
  );
  chunks.forEach((chunk, n) => {
    chunk.element.dataset.chunk = n;
    if (isWhole || n === 0) build(chunk);
    else chunk.element.style.minHeight = `${estimateHeight(trajectory, chunk, container)}px`;
  });
  container.replaceChildren(...chunks.map(({ element }) => element));
  container.scrollTop = 0;
  if (!isWhole) chunks.forEach(({ element }) => observer.observe(element));
  return {
    length: trajectory.pieces.length,
    spanOf(i) {
      const chunk = chunks.find(({ start, end }) => start <= i && i < end);
      if (chunk) build(chunk);
      return chunk?.spans[i - chunk.start];
    },
    shade(newScale) {
      scale = newScale;
      for (const chunk of chunks) chunk.spans?.forEach((span, n) => shadeToken(span, changeAt(trace, chunk.start + n), scale));
    },
    /** Put all tokens into the page, for paper; `showNear` takes those out again that are not in sight. */
    showAll: () => chunks.forEach(build),
    showNear() {
      if (isWhole) return;
      for (const { element } of chunks) observer.unobserve(element), observer.observe(element);
    },
    destroy: () => (observer.disconnect(), container.replaceChildren()),
  };
}

/** Split tokens where a line ends, if one ends soon; the final answer statement begins a chunk. */
function splitChunks({ pieces, reasoning_len: border }) {
  const chunks = [];
  let [start, characters] = [0, 0];
  const close = (end) => {
    if (end > start) chunks.push({ start, end, isStatement: start === border });
    [start, characters] = [end, 0];
  };
  pieces.forEach((piece, i) => {
    if (i === border) close(i);
    characters += Math.min(piece.length, LONGEST_TOKEN);
    const n = i + 1 - start;
    if ((n >= CHUNK.tokens && piece.endsWith("\n")) || n >= CHUNK.most || characters > CHUNK.characters) close(i + 1);
  });
  close(pieces.length);
  return chunks;
}

function makeRule(trajectory, trace) {
  const isTraced = trace !== null && trace.stepOf[trajectory.reasoning_len] >= 0;
  const label = isTraced ? "Final answer statement" : "Final answer statement, not traced";
  return make("div", { class: "statement", role: "separator", "aria-label": label }, make("span", {}, label));
}

/** Height of text that was never laid out, near enough that the scroll bar does not jump. */
function estimateHeight(trajectory, { start, end }, container) {
  const perLine = Math.max(20, container.clientWidth / 7.6);
  const lines = trajectory.pieces.slice(start, end).join("").split("\n");
  return 31 * lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / perLine)), 0);
}

function makeToken(piece, i) {
  // No isolation for each token: right-to-left words that span tokens must flow as one. Characters that would turn the
  // direction by force are never emitted (see text.js), and the container as a whole is isolated.
  const span = make("span", { class: "token", "data-i": i });
  if (piece === "") span.append(make("span", { class: "mark" }, "∅"));
  return appendText(span, piece, { limit: LONGEST_TOKEN });
}

function shadeToken(span, change, scale) {
  span.classList.toggle("fall", change !== null && change < 0);
  span.classList.toggle("rise", change !== null && change > 0);
  span.classList.toggle("untraced", change === null);
  span.style.setProperty("--weight", shareOfScale(change, scale).toFixed(3));
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

/** Tokens in which a text begins, in their order; upper and lower case are one. */
function findTokens(trajectory, text) {
  const wanted = text.toLowerCase();
  if (wanted === "") return [];
  const whole = trajectory.pieces.join("").toLowerCase();
  const found = [];
  let [token, end] = [0, trajectory.pieces[0]?.length ?? 0];
  for (let at = whole.indexOf(wanted); at >= 0; at = whole.indexOf(wanted, at + wanted.length)) {
    while (at >= end && token + 1 < trajectory.pieces.length) end += trajectory.pieces[++token].length;
    if (found.at(-1) !== token) found.push(token);
  }
  return found;
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
