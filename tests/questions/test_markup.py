import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.questions.markup import strip_markup, unescape_entities


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        (
            "In a [right triangle](https://e.org/wiki/Right_triangle) two [ legs](https://e.org/a_(b)) are equal.",
            "In a right triangle two legs are equal.",
        ),
        ("The [[angle]](/wiki/Angle) is $x$.", "The [angle] is $x$."),
        ('See [this "one"](http://e.org/a?b=1&amp;c=2 "Title") first.', 'See this "one" first.'),
        ("Find $n$. https://e.org/c/1.", "Find $n$."),
        ("Find $n$, see https://e.org/c/1.", "Find $n$."),
        ("Find $n$.\n\nSource: https://e.org/c/1", "Find $n$."),
        ("Find $n$ (see www.example.org/2024), then halve it.", "Find $n$, then halve it."),
        ("<https://e.org> Find $n$.", "Find $n$."),
        ("求最小值 https://e.org/c6。若 $n=2$ 呢", "求最小值。若 $n=2$ 呢"),
        ("$n$ \\href{https://e.org}{is prime}. \\url{https://e.org}", "$n$ is prime."),
        ("<p>Find <b>all</b> $n$.</p><p>Then add them.</p>", "Find all $n$.\n\nThen add them."),
        ("First line.<br>Second<br/>line.", "First line.\nSecond\nline."),
        ('<div class="q"><!-- id 7 -->Find <font color=red>$n$</font></div>', "Find $n$"),
        ("Solve x<sup>2</sup> + a<sub>1</sub> = 0", "Solve x^{2} + a_{1} = 0"),
        ("2<sup>3<sup>2</sup></sup>", "2^{3^{2}}"),
        ("<script>let a = 1 < 2</script>Find $n$", "Find $n$"),
        ("If 3 &lt; x &amp;&amp; x &le; 5&nbsp;cm", "If 3 < x && x ≤ 5 cm"),
        ("&amp;lt;i&amp;gt;n&amp;lt;/i&amp;gt; is odd", "n is odd"),
        ("<tr><td>x</td><td>1</td></tr>", "| x | 1"),
    ],
)
def test_links_and_html_go_and_what_they_said_stays(text, stripped):
    assert strip_markup(text) == stripped
    assert strip_markup(stripped) == stripped


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "if x<b and c>d, then",
        "$x<y$ and $a<b>c$ and $0<p>q$",
        "$x <i> y$",
        r"$\langle a, b\rangle$ & $\left<u,v\right>$",
        "vector<int> v; List<Table> t; Map<String, Set<b>> m;",
        "Answer with <answer>...</answer>.",
        r"\begin{align*} x &= 1 \\ y &lt 2 \end{align*}",
        "AT&T; R&D; &nosuchname; 1 & 2",
        "the interval [0,1](x) and 5![2](3)",
        "the ratio http:1 is no address, and neither is www.",
        "f: A -> B, a <- b, a <= b, a <> b",
        "two  blanks\n\n\n\nand a  \nline end stay as they came",
    ],
)
def test_mathematics_and_code_stay(text):
    assert strip_markup(text) == text


def test_entities_within_entities_are_taken_apart():
    assert unescape_entities("&amp;amp;amp;lt; &#38;gt; &#x26;amp; &amp;nosuch;") == "< > & &nosuch;"


PIECES = st.sampled_from(
    [
        *(
            "<",
            ">",
            "/",
            "<b>",
            "</b>",
            "<p>",
            "<td>",
            "</td>",
            "<br/>",
            "<sup>",
            "</sup>",
            "<a href='x'>",
            "<!--",
            "-->",
        ),
        *(
            "&lt;",
            "&amp;",
            "&",
            "lt;",
            "&nbsp;",
            "[",
            "](",
            ")",
            "(",
            "https://",
            "www.",
            "e.org",
            "\\url{",
            "\\href{x}{",
        ),
        *("}", "$", "x", " ", "\n", ".", "word"),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_stripping_again_changes_nothing(text):
    once = strip_markup(text)
    assert strip_markup(once) == once


@given(st.text(st.characters(exclude_characters="<&:\\"), max_size=60).filter(lambda text: "www" not in text.lower()))
def test_text_without_any_markup_stays(text):
    if "](" not in text:
        assert strip_markup(text) == text.strip()
