from raml.store import write_markdown_table


def test_what_markdown_would_read_as_more_than_text_is_escaped():
    """A backslash or an entity takes the meaning away; an underscore between letters has none."""
    rows = [["a|b", "*x*", "_x_ gsm_symbolic"], ["<b>", "R&B &lt;", "two\nlines"]]
    assert write_markdown_table(["one", "two", "three"], rows).splitlines() == [
        "| one | two | three |",
        "| --- | --- | --- |",
        r"| a\|b | \*x\* | \_x\_ gsm_symbolic |",
        "| &lt;b> | R&amp;B &amp;lt; | two lines |",
    ]


def test_a_backslash_at_a_cells_end_does_not_open_the_next_cell():
    assert write_markdown_table(["a"], [["x\\"]]).splitlines()[-1] == r"| x\\ |"
