// A second trajectory of the question beside the chosen one: its tokens, its curve, and a cursor at the same share of the way.

const compared = {
  trajectory: null,
  list: null,
  index: null,

  /** Offer the other trajectories of the question; the compared one stays if it is still another one. */
  offer(own, group) {
    const others = group.filter((candidate) => candidate !== own);
    const select = byId("compare");
    const name = ({ repeat, correct }) => `#${repeat} ${VERDICTS[String(correct)].icon} ${VERDICTS[String(correct)].name}`;
    const options = (mode) => others.filter((candidate) => candidate.mode === mode).map((candidate) => make("option", { value: candidate.id }, name(candidate)));
    const groups = [["think", "Thinking"], ["nothink", "No thinking"]].map(([mode, label]) => [label, options(mode)]).filter(([, list]) => list.length);
    select.replaceChildren(make("option", { value: "" }, "none"), ...groups.map(([label, list]) => make("optgroup", { label }, ...list)));
    select.disabled = others.length === 0;
    if (this.trajectory && !others.includes(this.trajectory)) this.choose(null);
    select.value = this.trajectory?.id ?? "";
  },

  /** Show a trajectory beside the chosen one; null for none. */
  choose(trajectory) {
    if (trajectory === null && this.trajectory === null) return;
    this.trajectory = trajectory;
    this.index = null;
    this.list?.destroy();
    this.list = null;
    byId("compare").value = trajectory?.id ?? "";
    byId("compared-pane").hidden = trajectory === null;
    document.querySelector(".reading").classList.toggle("comparing", trajectory !== null);
    if (trajectory) {
      this.list = makeTokenList(byId("compared-tokens"), trajectory, traceOf(trajectory));
      const mode = trajectory.mode === "think" ? "thinking" : "no thinking";
      const head = [`Beside it: #${trajectory.repeat} `, makeVerdict(trajectory.correct), ` · ${mode} · ${countOf(trajectory.pieces.length, "token")} · `];
      byId("compared-title").replaceChildren(...head, ...describeAnswer(trajectory));
    }
    if (!state.trajectory) return;
    showScale();
    showCurve();
    this.follow(state.trajectory, state.index);
    placeMarker();
    writeAddressSoon();
  },

  shade(scale) {
    this.list?.shade(scale);
  },

  /** Go to the place that is as far along the reasoning as the cursor is along the chosen trajectory's. */
  follow(own, index) {
    if (!this.trajectory || index === null) return;
    const [ours, theirs] = [own, this.trajectory].map(({ reasoning_len: n, pieces }) => Math.max(1, n || pieces.length));
    this.move(Math.min(this.trajectory.pieces.length - 1, Math.round(((index + 1) / ours) * theirs) - 1), { reveal: true });
  },

  move(index, { reveal = false } = {}) {
    if (this.index !== null) this.list.spanOf(this.index)?.classList.remove("current");
    const span = this.list.spanOf(Math.max(0, index));
    this.index = span ? Math.max(0, index) : null;
    span?.classList.add("current");
    if (span && reveal) revealInside(byId("compared-tokens"), span);
    byId("compared-readout").replaceChildren(...(span ? this.describe(this.index) : []));
  },

  describe(index) {
    const trace = traceOf(this.trajectory);
    const [nll, change] = [nllAfter(trace, index), changeAt(trace, index)];
    const parts = [`Token ${index}: `, ...makeInContext(this.trajectory, index, 30)];
    parts.push(nll === null ? ", not traced" : `, L̂ ${formatNumber(nll, 3)} (${formatNumber(change, 3, { sign: true })})`);
    const answer = answerAfter(readoutOf(this.trajectory), index);
    return answer === null ? parts : [...parts, ", own answer ", ...makeOwnAnswer(answer)];
  },

  /** Where its cursor is on the curve; null where nothing was measured. */
  point() {
    const trace = this.trajectory && traceOf(this.trajectory);
    const k = trace && this.index !== null ? trace.stepOf[this.index] : undefined;
    return k === undefined || k < 0 ? null : { x: trace.x[k + 1], y: trace.y[k + 1] };
  },

  listen() {
    byId("compare").addEventListener("change", () => this.choose(trajectoryOf.get(byId("compare").value) ?? null));
    byId("compared-tokens").addEventListener("pointerover", ({ target }) => {
      const index = tokenIndexOf(target);
      if (index === null) return;
      this.move(index);
      placeMarker();
    });
  },
};
