"""Files that were valid once, as hypothesis changes them."""

from hypothesis import strategies as st

SPICES = (
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\n", b'"', b"\\", b"\\ud800"),
    *(b",", b"{", b"}", b"[", b"]", b"null", b"true", b"NaN", b"Infinity", b"-1", b"1e999", b"1.5"),
    *(b"9223372036854775808", b"1" + b"0" * 400, b"[" * 2000, b'{"a":' * 2000, b"x" * 3000, b"{}", b"[]", b'""'),
    *(b"{{", b"{%", b"%}", b"-inf", b"= [", b"''", b"\xff" * 8, b"\x00" * 8, b"\xff\xff\xff\x7f", b"PAR1", b"GGUF"),
)
"""What is put into files: ends of texts, numbers beyond any range, depth, marks of formats."""


@st.composite
def mutate(draw: st.DrawFn, whole: bytes) -> bytes:
    """Change a file at one to four places, or leave a part of it, or take other bytes altogether."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        stop = min(len(content), place + draw(st.sampled_from((0, 1, 4, 40, 400))))
        kind = draw(st.sampled_from(("flip", "spice", "cut", "repeat", "end", "swap")))
        if kind == "flip" and place < len(content):
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "spice":
            content[place:stop] = draw(st.sampled_from(SPICES))
        elif kind == "cut":
            del content[place:stop]
        elif kind == "repeat":
            content[place:place] = content[place:stop]
        elif kind == "end":
            del content[place:]
        elif kind == "swap":
            other = draw(st.integers(0, len(content)))
            content[place:stop] = content[other : other + stop - place]
    return bytes(content)
