// Which questions are listed, and in which order.

/** What a question's trajectories come to: counts of outcomes, and means over those that have the value. */
function summarizeQuestion(question, group, traceOf) {
  const mean = (values) => (values.length ? d3.mean(values) : null);
  const firsts = group.map(({ readout }) => readout?.first_right ?? null).filter((first) => first !== null);
  return {
    question,
    text: `${question.prompt}\n${question.answer}\n${question.id}\n${question.domain ?? ""}`.toLowerCase(),
    nRight: group.filter(({ correct }) => correct === true).length,
    nWrong: group.filter(({ correct }) => correct === false).length,
    nUndecided: group.filter(({ correct }) => correct === null).length,
    length: mean(group.map(({ pieces }) => pieces.length)),
    /** Only when it is asked for, as it takes decoding all traces of the question. */
    get fall() {
      return mean(group.map(traceOf).filter((trace) => trace !== null).map(({ y }) => y.at(-1) - y[0]));
    },
    first: mean(firsts),
  };
}

const FILTERS = {
  all: () => true,
  right: ({ nRight, nWrong, nUndecided }) => nRight > 0 && nWrong + nUndecided === 0,
  mixed: ({ nRight, nWrong }) => nRight > 0 && nWrong > 0,
  wrong: ({ nRight, nWrong }) => nWrong > 0 && nRight === 0,
  undecided: ({ nUndecided }) => nUndecided > 0,
};

/** What the list is sorted by: the value, what it is called beside a question, and the lowest first. */
const SORTS = {
  order: null,
  right: { value: ({ nRight, nWrong }) => (nRight + nWrong ? nRight / (nRight + nWrong) : null), write: null },
  length: { value: ({ length }) => (length === null ? null : -length), write: ({ length }) => `${formatNumber(length, 0)} tokens` },
  fall: { value: ({ fall }) => fall, write: ({ fall }) => `ΔL̂ ${formatNumber(fall, 2, { sign: true })}` },
  first: { value: ({ first }) => first, write: ({ first }) => `first right ${formatNumber(first, 0)}` },
};

/** The questions to list, those without the sorted value last. */
function chooseQuestions(summaries, { text, outcome, sort }) {
  const wanted = text.trim().toLowerCase();
  const chosen = summaries.filter((summary) => FILTERS[outcome](summary) && summary.text.includes(wanted));
  if (SORTS[sort] === null) return chosen;
  const { value } = SORTS[sort];
  return chosen.toSorted((a, b) => (value(a) ?? Infinity) - (value(b) ?? Infinity) || 0);
}

/** What is written beside a question because the list is sorted by it; null for nothing. */
function noteSorted(summary, sort) {
  const order = SORTS[sort];
  return order?.write && order.value(summary) !== null ? order.write(summary) : null;
}
