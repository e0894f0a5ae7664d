"""Take links and HTML out of a question's text and leave its mathematics alone.

`a < b and c > d`, `$x<y$` and `vector<int>` look like markup to a careless pattern. So only the names of real tags
count, and a tag that could be something else (`$a<b>c$`) needs a closing tag or an attribute to be taken for one.
"""

from __future__ import annotations

import html
import re
from html.entities import html5

MAX_PASSES = 20
"""Taking something out may join the halves of something else. Nobody nests deeper by accident; what is left stays."""

# A loose ampersand belongs to an alignment (`a &= b`), so an entity needs its semicolon. Escaped twice is not rare.
ENTITY = re.compile(r"&(?:(?:amp|#38|#x26);)*(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")

NEW_LINE = (
    *("blockquote", "br", "center", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p"),
    *("pre", "table", "tbody", "tfoot", "thead", "tr", "ul"),
)
IN_LINE = (
    *("a", "abbr", "b", "big", "body", "caption", "code", "del", "em", "figcaption", "figure", "font", "head", "html"),
    *("i", "iframe", "img", "ins", "noscript", "o:p", "q", "s", "small", "span", "strike", "strong", "sub", "sup"),
    *("svg", "title", "tt", "u", "var", "wbr"),
)
CELLS = ("td", "th")
REPLACEMENTS = {**dict.fromkeys(NEW_LINE, "\n"), **dict.fromkeys(IN_LINE, ""), **dict.fromkeys(CELLS, " | ")}
"""What stands in a tag's place. Cells stay apart: a table remains one. `<answer>` and `<int>` are not HTML's names."""

STAND_ALONE = ("br", "hr", "img", "wbr")
"""Need no closing tag, and often follow a word directly."""

# `<b and c>` is two inequalities; `<b class="x">` is a tag.
ATTRIBUTE_NAMES = (
    "href|src|class|style|id|name|target|title|align|valign|rel|width|height|border|color|bgcolor|size|face|type|alt|"
    r"colspan|rowspan|cellpadding|cellspacing|lang|dir|data-[\w-]+|aria-[\w-]+|on[a-z]+"
)
ATTRIBUTES = rf"""(?:\s+(?:{ATTRIBUTE_NAMES})\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>=]+))*"""
NAMES = "|".join(sorted(REPLACEMENTS, key=len, reverse=True))
TAG = re.compile(rf"<(?P<slash>/?)(?P<name>{NAMES})(?P<attributes>{ATTRIBUTES})\s*/?>", re.IGNORECASE)
UNSEEN = re.compile(
    r"<!--(?:(?!<!--).)*?-->|<!doctype\b[^<>]*>|<\?xml\b[^<>]*>"
    r"|<(?P<name>script|style)\b[^<>]*>(?:(?!<(?:script|style)\b).)*?</(?P=name)\s*>",
    re.IGNORECASE | re.DOTALL,
)
# x<sup>2</sup> without its tags would be x2, another question.
RAISED_OR_LOWERED = re.compile(
    rf"<(?P<name>sup|sub){ATTRIBUTES}\s*>(?P<text>(?:(?!</?su[pb]\b).)*)</(?P=name)\s*>", re.IGNORECASE | re.DOTALL
)
SENTENCE_START = re.compile(r"(?:^|[\n.?!:;>])[ \t]*$")

# The characters of RFC 3986 without brackets, so that Chinese text or a `$` right after a link is no part of it.
URL_CHARACTER = r"(?:[A-Za-z0-9\-._~:/?#@!&'*+,;=%]|\\[_%#&])"
URL = rf"(?:(?:https?|ftp)://|www\.(?=[A-Za-z0-9-]+\.[A-Za-z]{{2}}))(?:{URL_CHARACTER}|\({URL_CHARACTER}*\))+"
# "Source: URL" goes as a whole; a text that ends in "Source:" would look cut off.
LEAD_IN = r"(?:(?:\b(?:source|link|url|reference)\s*[:：]|\b(?:see|via)\b|来源[:：]?|链接[:：]?)\s*)?"
BARE_URL = re.compile(
    rf"(?<![ \t])[ \t]*(?:\(\s*{LEAD_IN}{URL}\s*\)|\[\s*{LEAD_IN}{URL}\s*\]"
    rf"|(?P<open>(?:,\s*(?=see\b|via\b))?{LEAD_IN}{URL}))",
    re.IGNORECASE,
)
ENCLOSED_URL = re.compile(r"(?<![ \t])[ \t]*<(?:https?|ftp|mailto):[^\s<>]*>", re.IGNORECASE)
# Only what leads somewhere is a link: `[0,1](x)` is mathematics.
MARKDOWN_LINK = re.compile(
    r"\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\]){0,300})\]"
    r"\(\s*<?(?:(?:https?|ftp)://|www\.|mailto:|/wiki/)(?:[^\s()<>]|\([^\s()<>]*\))*>?"
    r"""(?:\s+"[^"]*"|\s+'[^']*')?\s*\)""",
    re.IGNORECASE,
)
LATEX_LINK = re.compile(r"\\href\s*\{[^{}]*\}\s*\{(?P<text>[^{}]*)\}|(?<![ \t])[ \t]*\\url\s*\{[^{}]*\}")
HINTS = ("<", "&", "://", "www.", "](/wiki/", "](mailto:", "\\href", "\\url")


def strip_markup(text: str) -> str:
    r"""Take out web addresses, HTML tags and comments, and unescape HTML's entities.

    A link leaves its text. Blocks and line breaks of HTML become line breaks, cells are set apart by ` | `, raised and
    lowered text becomes ^{} and _{}. Stripping again changes nothing more.
    """
    text = text.strip()
    for _ in range(MAX_PASSES):
        before = text
        if any(hint in text.lower() for hint in HINTS):
            text = _strip_once(text).strip()
        if text == before:
            break
    return text


def unescape_entities(text: str) -> str:
    """Replace HTML's entities by their characters, those escaped more than once too; a hard blank becomes a blank."""
    for _ in range(MAX_PASSES):
        before, text = text, ENTITY.sub(_unescape, text)
        if text == before:
            break
    return text


def _unescape(match: re.Match[str]) -> str:
    name = match[1]
    if not name.startswith("#") and f"{name};" not in html5:
        return f"&{name};"
    return html.unescape(f"&{name};").replace("\xa0", " ")


def _strip_once(text: str) -> str:
    plain = UNSEEN.sub("", unescape_entities(text))
    for _ in range(MAX_PASSES):  # from the innermost outwards
        plain, n_found = RAISED_OR_LOWERED.subn(_write_script, plain)
        if not n_found:
            break
    plain = _strip_tags(plain)
    plain = LATEX_LINK.sub(lambda match: match["text"] or "", plain)
    plain = MARKDOWN_LINK.sub(lambda match: match["text"].strip(), plain)
    plain = BARE_URL.sub(_keep_punctuation, ENCLOSED_URL.sub("", plain))
    if plain == text:
        return text
    plain = re.sub(r"(?<![ \t])[ \t]+(?=\n|$)", "", plain)
    return re.sub(r"\n{3,}", "\n\n", plain)


def _strip_tags(text: str) -> str:
    """Take out what is surely a tag."""
    last_close = {match["name"].lower(): match.start() for match in TAG.finditer(text) if match["slash"]}

    def replace(match: re.Match[str]) -> str:
        name, start = match["name"].lower(), match.start()
        after_word = text[start - 1 : start].isalnum()
        sure = (
            match["slash"]
            or match["attributes"]
            or name in STAND_ALONE
            or last_close.get(name, -1) > start
            or (len(name) > 1 and not after_word)  # not `List<Table>`
            or (name == "p" and SENTENCE_START.search(text, max(0, start - 20), start))
        )
        return REPLACEMENTS[name] if sure and not (match["slash"] and name in CELLS) else "" if sure else match[0]

    return TAG.sub(replace, text)


def _write_script(match: re.Match[str]) -> str:
    inner = match["text"].strip()
    return f"{'^' if match['name'].lower() == 'sup' else '_'}{{{inner}}}" if inner else ""


def _keep_punctuation(match: re.Match[str]) -> str:
    """A full stop after an address ends the sentence, not the address, unless the sentence has one already."""
    if match.string.endswith((".", "?", "!"), 0, match.start()):
        return ""
    address = match["open"] or ""
    return address[len(address.rstrip(".,;:!?'*")) :]
