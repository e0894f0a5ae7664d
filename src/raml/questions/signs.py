"""How a question's text gives away that it needs something that is not in the text.

A wrongly dropped question is gone, a wrongly kept one is a question that nobody answers. So each pattern asks for more
than a telling word: "figure" alone is in "figure out", "significant figures" and "the figure bounded by the curves".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Sign:
    """A pattern that speaks against a question."""

    pattern: re.Pattern[str]
    """Looked for in the text with all runs of blanks and line breaks made single blanks."""
    unless: Callable[[str], bool] | None = None
    """Whether the text itself holds what the pattern points at."""


def find_sign(text: str, signs: tuple[Sign, ...]) -> str | None:
    """Return the words by which the first sign that applies is found, None if there is no sign."""
    line = " ".join(text.split())
    for sign in signs:
        if (match := sign.pattern.search(line)) and not (sign.unless and sign.unless(text)):
            return match[0].strip()
    return None


DISPLAY = re.compile(
    r"\\begin\{(?:array|tabular|table|[pbvBV]?matrix|cases|align(?:ed)?\*?|eqnarray\*?|gather\*?)\}"
    r"|<t(?:able|[rdh])\b|^\s*\|.*\||\s\|\s[^|\n]*\s\|\s|\\\[|\$\$|\\hline|```|\t",
    re.IGNORECASE | re.MULTILINE,
)
COLUMNS = re.compile(r"[^\s$] {2,}(?=[^\s$])|\s[&|;]\s|\d[,;]? +(?=-?\d)")
"""What stands between two cells of a line. Some data sets have two blanks around each formula; those don't count."""
A_FIGURE = re.compile(
    r"\b(?:an?|each|every|one|some|any|such|another|the resulting)\s+(?:[\w-]+\s+){0,3}"
    r"(?:figure|diagram|picture|drawing|illustration)\b",
    re.IGNORECASE,
)
A_TABLE = re.compile(r"\b(?:an?|each|every|one|some|any|such)\s+(?:\S+\s+){0,3}(?:table|chart)\b", re.IGNORECASE)
A_PASSAGE = re.compile(
    r"\b(?:following|this|below)\s+(?:\w+\s+)?(?:passage|article|excerpt|text|story)\b|\b(?:passage|article|text)\s*:",
    re.IGNORECASE,
)


def has_display(text: str) -> bool:
    """Whether a text has a table, a displayed formula, or two lines in columns."""
    rows = [line for line in text.splitlines() if len(COLUMNS.findall(line)) > 1]
    return DISPLAY.search(text) is not None or len(rows) > 1


def introduces_figure(text: str) -> bool:
    """Whether a text describes a figure of its own ("A figure is made of five squares …")."""
    return A_FIGURE.search(text) is not None


def has_table(text: str) -> bool:
    """Whether a text has a table, or describes one of its own ("Numbers are written into an n × n table …")."""
    return has_display(text) or A_TABLE.search(text) is not None


def has_passage(text: str) -> bool:
    """Whether a text brings the passage that it speaks of."""
    return A_PASSAGE.search(text) is not None


def _sign(pattern: str, unless: Callable[[str], bool] | None = None) -> Sign:
    return Sign(re.compile(pattern, re.IGNORECASE), unless)


IMAGE_FILE = r"\.(?:png|jpe?g|gif|svg|webp|bmp|tiff?)\b"
# "The image of a point under f" is a word of mathematics.
PICTURE = r"(?:figure|diagram|picture|drawing|illustration|sketch|image(?! (?:of|under)\b))"
PICTURES = rf"(?:(?:{PICTURE}|figures|diagrams|pictures|drawings|illustrations|sketches|images)(?![\w-]))"
ADJECTIVE = r"(?:accompanying|adjoining|adjacent|attached|following|given|next|above|below|right|left)"
SHOWN = r"(?:shown|indicated|depicted|illustrated|pictured|drawn|displayed|given|marked|label+ed|sketched|seen)"
# Not "the graph above the x-axis", "the figures to the right of the point".
PLACE = (
    r"(?:(?:below|above|here|overleaf|opposite|(?:at|on|to) (?:the |your )?(?:right|left))"
    r"(?! (?:the|its?|an?|this|that|of|angles?|[xy]\b|\d)| ?[$\\])|shown)\b"
)

PICTURE_SIGNS = (
    # The picture itself, or where it was.
    _sign(r"<img\b[^<>]*>|<(?:svg|figure|canvas|iframe|video|embed)(?:\s[^<>]*)?>|<\|?image(?:[ _]?\d+)?\|?>"),
    _sign(rf"!\[[^\[\]]*\](?:\(\s*(?:https?:|www\.|data:|\.{{0,2}}/|[\w./%-]+{IMAGE_FILE})|\[\w+\])"),
    _sign(rf"(?:https?://|www\.|/wiki/)[^\s<>\"'\])]*{IMAGE_FILE}|cdn\.mathpix\.com/cropped|data:image/"),
    _sign(rf"\[[^\[\]]*{IMAGE_FILE}\s*\]|\[(?:image|img|figure|picture|diagram)(?:[ _:]?\d+)?\]"),
    _sign(r"\[/?asy\]|</?asy>|\\begin\{(?:asy|tikzpicture|picture|pspicture|figure)\}|\\includegraphics\b"),
    # Words that point at one.
    _sign(rf"\b{SHOWN} (?:in|on|by) (?:(?:the|this|our|your) )?(?:{ADJECTIVE} )?{PICTURES}"),
    _sign(rf"\bshown (?:in|on|by) (?:the|this) (?:{ADJECTIVE} )?(?:graph|map|chart|plot)\b(?! paper)"),
    _sign(rf"\b(?:see|refer to|consult|according to|based on) (?:(?:the|this) )?(?:{ADJECTIVE} )?{PICTURES}"),
    _sign(rf"\b(?:the|this|these|in) (?:[\w-]+ ){{0,2}}(?:{PICTURES}|graphs?) {PLACE}"),
    _sign(rf"\b(?:the|an?) (?:accompanying|adjoining|adjacent|attached) (?:[\w-]+ )?{PICTURE}(?![\w-])"),
    _sign(rf"\bthe following (?:[\w-]+ )?{PICTURE}(?![\w-])", has_display),  # a commutative diagram is in the text
    _sign(r"\b(?:the|this) (?:figure|diagram|picture|illustration) (?:shows|depicts|illustrates)\b(?! that\b)"),
    _sign(r"\bnot (?:drawn )?to scale\b"),
    _sign(
        r"\bin (?:the|this) (?:given )?(?:figure|diagram|picture|illustration)\b(?! (?:formed|bounded|enclosed|"
        r"obtained|described|consisting|made|composed|created|of|that|which|with|whose|frame|gallery|book|skat\w+)\b|-)",
        introduces_figure,
    ),
    _sign(r"(?:\b(?:see|in|from|on)|\() ?(?:fig\.|figure|diagram) ?\(?\d"),
    _sign(
        r"\bgraphs? of [^.?!]{1,80}? (?:is|are) (?:shown|pictured|(?:drawn|given|sketched) below)\b(?! (?:to|that)\b)"
    ),
    # "The numbers shown below: 3, 5, 7" and "the grid shown below" with an array have what they show.
    _sign(
        rf"\b{SHOWN} (?:below|here|(?:at|on|to) (?:the )?(?:right|left))(?= ?[.,;?)]|$)"
        r"|\bas (?:shown|pictured)(?= ?[.;)]|$)",
        has_display,
    ),
    # 下图形 belongs to 以下图形 (the following shapes), 上图书馆 to a library, 如图灵 to Turing.
    _sign(
        r"如图(?![书形灵案])|[下上](?:面的)?图(?![书形案])|[左右]图(?![书形案])|附图|见图|图示(?!法)"
        r"|(?<!地)图 ?[0-9①②③]"
    ),
)

ADDRESS = r"(?:https?://|www\.)"
OUTSIDE_SIGNS = (
    # Tables. "The table above" of a question that has one is no sign.
    _sign(rf"\b(?:the|this|these|in|see) (?:[\w-]+ ){{0,2}}(?:tables?|charts?) {PLACE}", has_display),
    _sign(r"\b(?:the|this) (?:following|accompanying|attached) (?:[\w-]+ )?(?:table|chart)\b", has_display),
    _sign(r"\b(?:the|this) (?:table|chart) (?:shows|lists|gives|summari[sz]es|displays)\b", has_table),
    _sign(r"\b(?:shown|given|listed|recorded|summari[sz]ed) in (?:the|this) (?:[\w-]+ )?table\b", has_table),
    _sign(r"\b(?:see|in|from) table \d|\b(?:according to|based on|refer to) (?:the|this) (?:table|chart)\b", has_table),
    _sign(r"[下上附]表(?![示面明达现演])", has_table),  # 上表面 is an upper surface, 如上表示 no table
    # Texts. Time passes and people meet in passages.
    _sign(
        r"\b(?:according to|based on|(?:mentioned|stated|described|used) in|(?:implied|suggested) (?:in|by)|"
        r"the author of|the main idea of) the (?:passage|article|excerpt|essay)\b(?! (?:of|from|between)\b)"
        r"|\bthe passage (?:above|states|says|suggests|implies|mentions|describes)\b",
        has_passage,
    ),
    _sign(
        r"\bsee (?:the )?attach(?:ed|ments?)\b|\bin the attachments?\b|\bthe attached (?:file|document|sheet|worksheet|"
        r"graph|data|spreadsheet|pdf|photo|article|link)\b|附件"
    ),
    # A story may have people who visit a website or follow a link; it does not refer the reader to one.
    _sign(
        r"\b(?:refer to|according to) (?:the|this) (?:following )?(?:link|website|web (?:site|page)|url)\b(?! of\b)"
        r"|\b(?:see|visit|open) (?:this|the following) (?:link|website|web (?:site|page)|url)\b|\bclick here\b"
    ),
    _sign(rf"\b(?:refer to|according to|(?:data|described|given|listed|found) (?:at|on|in|from)|read) {ADDRESS}"),
    # Other problems. "Worth one point more than the previous problem" is a story.
    _sign(
        r"\b(?:in|from|under|as in|using|continuing|refer(?:ring)? to) the (?:previous|preceding) (?:problem|exercise|"
        r"question|example)\b|\b(?:conditions?|results?|solution|setting|notation|statement|answer) (?:of|from|to|in) "
        r"the (?:previous|preceding) (?:problem|exercise|example)\b|(?<!以)上一?题(?!目)|前一题"
    ),
    _sign(r"\bTN(?:FTPP|YWR)\b|\bthe number you will receive\b"),  # relay rounds hand a number on
    _sign(r"\b(?:see|refer to|as in|results? of|solution of) (?:problem|exercise|chapter|section|appendix|page) \d"),
)
