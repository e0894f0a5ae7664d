import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raml.errors import DataError
from raml.questions import REASONS, clean_questions

GOOD = "How many positive integers below 50 are divisible by 3 or by 7?"


def clean(*rows):
    return clean_questions(((f"q.jsonl line {i}", row) for i, row in enumerate(rows, start=1)), source="q.jsonl")


def find_reason(prompt, answer="7"):
    """Why a question is dropped, None if it is kept."""
    cleaned = clean({"prompt": prompt, "answer": answer})
    assert len(cleaned.kept) + len(cleaned.dropped) == 1
    return cleaned.dropped[0].reason if cleaned.dropped else None


def to_row(question):
    return {
        "id": question.id,
        "prompt": question.prompt,
        "answer": question.answer,
        "domain": question.domain,
        **question.meta,
    }


@pytest.mark.parametrize(
    "prompt",
    [
        "Find the radius of the circle in the figure below.",
        "Let $a$, $b$ and $c$ be the lengths indicated in the figure. Find $abc$.",
        "As shown in the diagram, $AB = 5$. What is $CD$?",
        "Five squares are joined, as illustrated by the sketch. What is the perimeter?",
        "The distances are shown in the graph. When do the cyclists meet?",
        "How many triangles has the pattern in the drawing above?",
        "How long is the path in the following picture?",
        "The squares are arranged as shown. What is the total area?",
        "In the figure, $ABCD$ is a rectangle and $AE = 3$. Find $EC$.",
        "Part of the graph of $y = f(x)$ is shown. How many zeros has $f$?",
        "The accompanying picture is drawn by a robot; how long is its path?",
        "What is the area of the shaded part? (The diagram is not drawn to scale.)",
        "Refer to the figure and find the angle at $P$.",
        "Each gear (see Fig. 2) has 12 teeth. How often does the last one turn?",
        "The diagram shows three overlapping circles. How many regions are shaded?",
        "Which number comes next in the pattern pictured at right?",
        "How many cubes are there?\n![](https://cdn.example.org/x/cubes)",
        "How many cubes are there? ![cubes](cubes.png)",
        "How many cubes are there? <img src='cubes.png'>",
        "How many cubes are there? &lt;img src='cubes.png'&gt;",
        "How many cubes are there?\n[cubes 1.PNG](https://example.org/wiki/File:cubes_1.PNG)",
        "How many cubes are there? https://example.org/cubes.jpg?w=300",
        "<image>\nHow many cubes are there?",
        "How many cubes are there? [Image 1]",
        "Find the length.\n[asy] draw((0,0)--(3,4)); [/asy]",
        r"Find the length. \begin{tikzpicture} \draw (0,0) -- (3,4); \end{tikzpicture}",
        "如图所示，求三角形的面积。",
        "根据下图，求 $x$ 的值。",
    ],
)
def test_a_question_about_a_picture_is_dropped(prompt):
    assert find_reason(prompt) == "needs a picture"


@pytest.mark.parametrize(
    "prompt",
    [
        "Figure out how many handshakes ten people exchange.",
        "Draw a figure of your own to find how many diagonals a heptagon has.",
        "Give the length to three significant figures.",
        "How many three-digit figures contain the digit 5?",
        "Find the area of the figure bounded by $y = x^2$ and $y = 4$.",
        "A figure is made of five unit squares in a row. How many rectangles are in the figure?",
        "How many points lie in the figure formed by two circles that meet twice?",
        "Find the area of the region under the graph above the interval $[0, 2]$ if $f(x) = x$.",
        "For which $c$ does the graph of $y = x^2 + c$ lie above the $x$-axis?",
        "Find the image of $3$ under the map shown to be linear, $f(x) = 2x + 1$.",
        "Every graph of order 5 is shown to have an even number of odd vertices. How many can there be?",
        "Consider the following diagram:\n\\[\\begin{array}{ccc} A & \\to & B \\end{array}\\] How many arrows has it?",
        "A skater draws a figure 8 of two circles of radius 3. How long is it, over $\\pi$?",
        "The numbers shown below: 3, 5, 7, 11. What is their sum?",
        "What is the trace of the matrix shown below.\n\\[\\begin{pmatrix} 3 & 1 \\\\ 2 & 4 \\end{pmatrix}\\]",
        "The picture frame in the picture gallery is 3 cm wide. The picture costs 7 francs; how much are two?",
        "A map is drawn to scale 1 : 50000. How many kilometres are 14 cm?",
        "Which of the following figures has seven axes of symmetry: a regular heptagon, a square? Give its sides.",
        "Delete the figures to the right of the decimal point of 7.5. What is left?",
        "Two mirrors reflect the image at right angles. How many images of it are there, twice over, plus one?",
        "甲乙两地在地图 1 : 50000 上相距十四厘米，求实际距离。",
        "$5![2](1)$ is no picture. What is $5 + 2$?",
        "以下图形中，有几个轴对称图形：正方形、圆、平行四边形？",
        "小明从家走到市图书馆如图书馆离家七公里，求来回路程。",
    ],
)
def test_a_word_like_figure_alone_drops_no_question(prompt):
    assert find_reason(prompt) is None


@pytest.mark.parametrize(
    "prompt",
    [
        "Use the table below to find the mean of $x$.",
        "According to the table, how many students walk to school?",
        "The table shows the heights of five trees. How tall is the second one?",
        "The heights are listed in the table. How tall is the second tree?",
        "The following table gives the prices of fruit. How much are three apples?",
        "According to the passage, how many ships returned?",
        "See the attached file and count the errors.",
        "Refer to the link for the rules. How many moves are needed?",
        "Refer to [the website](https://example.org/rules) for the rules. How many moves are needed?",
        "According to https://example.org/data, how many people live there?",
        "In the previous problem, replace 3 by 5. What is the new answer?",
        "Under the conditions of the preceding exercise, find the smallest such $n$.",
        "Let $T = TNYWR$. Find the number of divisors of $T$.",
        "Use the result of problem 4 to find $a_{10}$.",
        "根据下表，求平均数。",
        "在上一题中，若 $n=3$，求结果。",
    ],
)
def test_a_question_about_something_outside_is_dropped(prompt):
    assert find_reason(prompt) == "needs outside material"


@pytest.mark.parametrize(
    "prompt",
    [
        "Use the table below to find the sum of all $y$.\n\n| x | 1 | 2 |\n|---|---|---|\n| y | 3 | 4 |",
        "Use the table below.\n\\begin{tabular}{c|c} x & 1 \\\\ y & 7 \\end{tabular}\nWhat is $y$?",
        "Prices are listed in the table: \\begin{array}{cc} pears & plums \\\\ 4 & 7 \\end{array} What do plums cost?",
        "According to the table, what is $y$?\nx\t1\t2\ny\t3\t7",
        "根据下表，求 $y$。\n| x | 1 | 2 |\n| y | 3 | 7 |",
        "The following table gives prices and stocks.\napples  3  40\npears  4  50\nplums  7  60\nWhat do plums cost?",
        "<table><tr><td>apples</td><td>3</td></tr><tr><td>pears</td><td>4</td></tr></table> "
        "What do both in the table above cost?",
        "Numbers are written into a table with 3 rows. The table shows each of 1 to 9 once. How many are odd?",
        "Six people sit around the table. In how many ways can they, up to rotation, over 10?",
        "Two people meet in the passage from the hall to the yard. The passage of time is 7 minutes. How many minutes?",
        "A weight is attached to the spring. See how far it stretches if 1 kg is 7 cm.",
        "700 people visit the website each day, and one in a hundred follows the link. How many do?",
        "Every link of a chain is 7 mm long. How long is the link of the chain in the middle?",
        "Each problem is worth one point more than the previous problem. What is the seventh worth, if the first is 1?",
        "In the sequence each term is twice the previous term. Which term is 64, if the first is 1?",
        "Read the following passage: a farmer has 7 cows. According to the passage, how many cows has he?",
        "求长方体上表面的面积，如上表明边长为一和七。",
    ],
)
def test_a_question_that_brings_its_material_is_kept(prompt):
    assert find_reason(prompt) is None


@pytest.mark.parametrize(
    "prompt",
    [
        "A train leaves at noon with 40 passengers and the remaining...",
        "A train leaves at noon. Find the number of…",
        "小明有三个苹果，小红有……",
        "Find all integers $n$ such that",
        "The sum of the digits of $n$ is 9, the product is 14, and",
        "Let $x$ and $y$ be positive numbers with $x + y = 1$,",
        "Solve the following equation:",
        r"Compute $\sum_{n=1}^{\infty} \frac{1}{n^2",
        r"Find $x$ if $$x^2 - 5x",
        r"Evaluate \( \int_0^1 x^2",
        r"Evaluate \[ \int_0^1 x^2",
        r"Solve \begin{cases} x + y = 3 \\ x - y",
        "Problem 5.",
        "12.",
        "Simplify",
        "...",
        " ",
        "",
        "<p></p>",
        "https://example.org/problem/17",
    ],
)
def test_a_question_that_breaks_off_is_dropped(prompt):
    assert find_reason(prompt) == "incomplete"


@pytest.mark.parametrize(
    "prompt",
    [
        "Find the sum of the series $1 + \\frac{1}{2} + \\frac{1}{4} + \\ldots$",
        "What is the next number? 1, 2, 4, ...",
        "Find 1/2 + 1/4 + 1/8 + …",
        "The value of $x$ is:",
        "Consider the sequence:\n1, 2, 4,\n8 and\nso on. What is the tenth term?",
        "Input: [3, 4]\nOutput: [4, 3]\n\nInput: [1, 2]\nOutput:",
        "What is 3 + 4?\nA:",
        "Reverse this list of words: free, may, the",
        "Then the area of the triangle is",
        "Determine the ratio $\\frac{a}{b}$",
        "2 + 5",
        "Calculate 3+4.",
        "A jacket costs $5 more than a shirt of $2. What does it cost?",
        "The manager gave a $$50$ bonus to one of seven people. How many got nothing, plus one?",
        "The prices are $5, $6 and $7. Find p if p^2 = 49",
        "$a$$b$ are the digits of a number with $a = 0$. Find it if $b = 7$.",
        r"Solve $\begin{cases} x + y = 3 \\[2pt] x - y = 1 \end{cases}$ for $x$, then add 5.",
        r"Let \(a = 2\) and \[b = 5.\] Find \(a + b\)",
        "Let $f(x) = x + 5 for all real numbers x. Find f(2).",
        "Find all values of a",
        "求函数的最小值为：",
    ],
)
def test_a_question_without_a_full_stop_is_kept(prompt):
    assert find_reason(prompt) is None


@pytest.mark.parametrize("answer", [None, "", "  ", "N/A", "null", float("nan"), "?", "No answer provided.", "见解析"])
def test_a_row_without_an_answer_is_dropped_and_no_error(answer):
    assert find_reason(GOOD, answer) == "no answer"


def test_a_missing_answer_field_is_dropped_with_what_is_known():
    cleaned = clean({"id": 12, "question": GOOD}, {"problem": None, "answer": 3}, {"prompt": GOOD, "answer": 20})
    assert [(d.place, d.id, d.prompt, d.answer, d.reason) for d in cleaned.dropped] == [
        ("q.jsonl line 1", "12", GOOD, None, "no answer"),
        ("q.jsonl line 2", None, None, "3", "incomplete"),
    ]
    assert [(q.prompt, q.answer, q.source) for q in cleaned.kept] == [(GOOD, "20", "q.jsonl")]


@pytest.mark.parametrize(
    "answer",
    [
        "$$",
        r"\text{}",
        "1) 3; 2) 5",
        "(1) $a = 1$; (2) $b \\le 2$",
        "(a) 4, (b) 7",
        "(i) 2 (ii) none",
        "①3；②5",
        r"\text{a) } 12 \quad \text{b) } 15",
        "Proof: assume $n$ is even.",
        "证明略",
        "It is the least number that has this property, and every other number that has it is a multiple of this one, "
        "as one sees by dividing the two with a remainder",
        "Yes, because if the sum of the digits is divisible by 3 then so is the number",
        "因为每一个数的各位数字之和都能被三整除，所以这个数本身也能被三整除",
    ],
)
def test_a_gold_answer_that_nothing_can_be_compared_with_is_dropped(answer):
    assert find_reason(GOOD, answer) == "not verifiable"


@pytest.mark.parametrize(
    "answer",
    [
        *("20", "-3", "1,000", "0.5", r"\frac{1}{2}", "(1, 2)", "(1)", "(B)", "x = 3", "k(n) = n + 1", r"45^\circ"),
        *("1 and 2", "(1) and (2)", "①③④", "(1)(2)", "a", "no", "None", "1.5", "12:30", r"5\text{ cm}", "Na", "略大于"),
        str([["besoot", "bootes"]] * 20).replace("'", '"'),
        "Ann is a knight, Bob is a knave, and Eve is a knight.",
        *("an isosceles right triangle", "Alice, Bob, Carol, Dave, Erin, Frank, Grace and Heidi", "(a) + (b)"),
        r"2 \text{ hours, } 30 \text{ minutes and } 15 \text{ seconds}",
    ],
)
def test_an_ordinary_gold_answer_is_kept(answer):
    assert find_reason(GOOD, answer) is None


def test_of_rows_that_ask_the_same_the_first_good_one_stays():
    cleaned = clean(
        {"prompt": GOOD, "answer": ""},
        {"prompt": GOOD, "answer": "20"},
        {"prompt": GOOD.replace(" 50 ", "\n50  "), "answer": "20"},
        {"prompt": f"<b>{GOOD}</b>", "answer": "21"},
        {"prompt": GOOD.replace("50", "60"), "answer": "20"},
    )
    assert [q.prompt for q in cleaned.kept] == [GOOD, GOOD.replace("50", "60")]
    assert cleaned.count_reasons() == {"no answer": 1, "duplicate": 2}
    assert [d.detail for d in cleaned.dropped[1:]] == [
        "asked at q.jsonl line 2",
        "asked at q.jsonl line 2, with the answer '20'",
    ]


def test_what_is_changed_is_counted_and_hashed_anew():
    marked = "Find $n$ if [twice](https://e.org/Two) $n$ is $14$."
    plain = "Find $n$ if twice $n$ is $14$."
    (expected,) = clean({"prompt": plain, "answer": "7"}).kept
    cleaned = clean({"prompt": marked, "answer": "7", "level": 2}, {"prompt": GOOD, "answer": "20"})
    assert cleaned.n_changed == 1
    assert cleaned.kept[0].prompt == plain
    assert cleaned.kept[0].id == expected.id
    assert cleaned.kept[0].meta == {"level": 2}
    (given_id,) = clean({"id": "a7", "prompt": marked, "answer": "7"}).kept
    assert given_id.id == "a7"


def test_reading_stops_once_enough_are_kept():
    rows = iter([("1", {"prompt": "Problem", "answer": "1"}), ("2", {"prompt": GOOD, "answer": "20"}), ("3", {})])
    cleaned = clean_questions(rows, source="q", limit=1)
    assert (len(cleaned.kept), len(cleaned.dropped)) == (1, 1)
    assert next(rows)[0] == "3"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": GOOD, "answer": "20"}], "line 1 has no field 'prompt'"),
        ([{"prompt": [GOOD], "answer": "20"}], "line 1: field 'prompt' is no text"),
        ([{"prompt": GOOD, "answer": ["20"]}], "line 1: field 'answer' is no text"),
        (
            [{"id": "a", "prompt": GOOD, "answer": "20"}, {"id": "a", "prompt": "Calculate 3+4.", "answer": "7"}],
            "line 2: question id 'a' was used at q.jsonl line 1",
        ),
    ],
)
def test_a_file_of_another_form_is_an_error(rows, message):
    with pytest.raises(DataError, match=message):
        clean(*rows)


SENTENCES = st.sampled_from(
    [
        *(
            GOOD,
            "Find $x$ if $x^2 = 49$.",
            "Let [n](https://e.org/n) be odd",
            "<p>Solve x<sup>2</sup> = 49</p>",
            "a < b",
        ),
        *(
            "1 &lt; x",
            "&amp;lt;b&amp;gt;",
            "<b>",
            "</b>",
            "In the figure, $AB = 3$.",
            "A figure has five sides.",
            "[asy]",
        ),
        *(
            "Use the table below.",
            "<tr><td>1</td><td>2</td></tr>",
            "| a | b |",
            "See https://e.org",
            "Source: www.e.org",
        ),
        *(
            "and",
            ":",
            ",",
            "...",
            "$",
            "$$",
            "\\(",
            "\\)",
            "x_1 =",
            "\\begin{cases}",
            "\n",
            "![",
            "](https://e.org/x.png)",
        ),
        *("[link](https://e.org)", "Refer to the", "as shown", ".", "上一题", "如图", "Problem 5"),
    ]
)
ROWS = st.fixed_dictionaries(
    {
        "prompt": st.lists(SENTENCES, max_size=6).map(" ".join),
        "answer": st.sampled_from(["7", "20", " 20 ", "", "N/A", "(1) 3 (2) 5", 49]),
    },
    optional={"level": st.integers(0, 3)},
)


@settings(max_examples=300)
@given(st.lists(ROWS, max_size=6))
def test_cleaning_what_was_kept_drops_and_changes_nothing(rows):
    once = clean(*rows)
    assert len(once.kept) + len(once.dropped) == len(rows)
    assert set(once.count_reasons()) <= set(REASONS)
    again = clean(*map(to_row, once.kept))
    assert again.dropped == ()
    assert again.n_changed == 0
    assert again.kept == once.kept
    # Without ids, too: the hash is that of the text that stayed.
    unnamed = clean(*({k: v for k, v in to_row(question).items() if k != "id"} for question in once.kept))
    assert unnamed.kept == once.kept
