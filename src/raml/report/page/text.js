// Text of the records → DOM. Model output may hold anything, so it enters the page as text nodes only, and characters that
// are invisible, move the cursor or turn the reading direction are replaced by a visible mark.

const INVISIBLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;
const LINE_BREAKS = new Set(["\n", "\u2028", "\u2029"]);

/** Name an invisible character in signs that every font has; the pictures of control characters are missing in many. */
function nameCharacter(character) {
  const code = character.codePointAt(0);
  if (LINE_BREAKS.has(character)) return "⏎";
  if (character === "\t") return "⇥";
  if (character === "\r") return "\\r";
  if (code < 0xa0) return `\\x${code.toString(16).padStart(2, "0")}`;
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Append text to a node with every invisible character shown; `limit` cuts very long text and says so. */
function appendText(parent, text, { limit = Infinity } = {}) {
  const shown = text.length > limit ? text.slice(0, limit) : text;
  let end = 0;
  for (const match of shown.matchAll(INVISIBLE)) {
    if (match.index > end) parent.append(shown.slice(end, match.index));
    parent.append(make("span", { class: "mark" }, nameCharacter(match[0])));
    // The break and the tab still do what they do; all others are only named.
    if (LINE_BREAKS.has(match[0])) parent.append("\n");
    if (match[0] === "\t") parent.append("\t");
    end = match.index + match[0].length;
  }
  if (end < shown.length) parent.append(shown.slice(end));
  if (shown.length < text.length) {
    const rest = (text.length - shown.length).toLocaleString("en");
    parent.append(make("span", { class: "mark" }, `… ${rest} more characters`));
  }
  return parent;
}

/** Make an element. Children that are strings are ours; text from records goes through `makeText`. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Make an element that holds text from the records, isolated so that its direction can't turn the text around it. */
function makeText(tag, text, attributes = {}, options = {}) {
  return appendText(make(tag, { dir: "auto", class: "data", ...attributes }), text, options);
}

/** Text for places that hold no elements, such as SVG: invisible characters are replaced by their names. */
function plainText(text) {
  return flatten(text).replace(INVISIBLE, nameCharacter);
}

/** Put text on one line, for lists. */
function flatten(text) {
  return text.replace(/\s+/g, " ").trim();
}

/** Format a number with a true minus sign; `sign` also marks what is above 0. */
function formatNumber(value, digits, { sign = false } = {}) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : sign ? "+" : "") + text;
}

function countOf(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

function byId(id) {
  return document.getElementById(id);
}
