"""Plain data → one HTML text, with nothing left to fetch."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

import jinja2

from raml.errors import DataError
from raml.records import Manifest, Question, Readout, Trace, Trajectory
from raml.report.charts import Surface, View
from raml.report.payload import describe_run, encode_payload

STYLES = ("page/page.css",)
SCRIPTS = (
    "page/text.js",
    "page/download.js",
    "page/trace.js",
    "page/answers.js",
    "page/tokens.js",
    "page/curve.js",
    "page/chart.js",
    "page/landscape.js",
    "page/views.js",
    "page/filter.js",
    "page/lists.js",
    "page/compare.js",
    "page/navigation.js",
    "page/page.js",
)
"""The page's own scripts in reading order; they are joined into one module."""


def build_report(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    manifest: Manifest,
    *,
    readouts: Sequence[Readout] = (),
    views: Sequence[View] = (),
    title: str = "Where is the answer made?",
) -> str:
    """Build one HTML page that shows L̂ along each trajectory of a run, and the model's own answer where it was read.

    The page opens from a file, makes no request, and treats all text of the records as text: its content policy allows
    only its own scripts and styles, by hash. The same arguments give the same bytes.

    Args:
        questions: At least one; ids unique.
        trajectories: At least one, each of a given question. Those with an error or without a trace
            are shown with a note.
        traces: At most one for a trajectory, all made with the same settings.
        manifest: How the records came about; shown at the page's foot.
        readouts: At most one for a trajectory, by the model that made its trace. Where their prefixes are not the
            trace's, the page says after which token an answer was given.
        views: What else the run was made to say, a tab each.
        title: Heading of the page.

    Raises:
        DataError: no questions or trajectories, or records that do not belong together.
        NumericsError: a trace, or a readout's log-probability, is NaN or infinite.
    """
    payload = describe_run(questions, trajectories, traces, readouts, manifest, views=views, title=title)
    has_surface = any(isinstance(part, Surface) for view in views for part in view.parts)
    styles = [_read_file(name) for name in STYLES]
    scripts = [
        _read_file(name) for name in ("vendor/d3.min.js", *(["vendor/plotly-gl3d.min.js"] if has_surface else []))
    ]
    module = "\n".join(_read_file(name) for name in SCRIPTS)
    # Plotly brings a style element that it fills by script, and sets styles as attributes.
    of_plotly = (_hash_source(""), "; style-src-attr 'unsafe-inline'") if has_surface else ("", "")
    policy = "; ".join(
        [
            "default-src 'none'",
            "script-src " + " ".join(_hash_source(text) for text in [*scripts, module]),
            "style-src " + " ".join([*map(_hash_source, styles), of_plotly[0]]).rstrip() + of_plotly[1],
            "img-src data:" + (" blob:" if has_surface else ""),
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_read_file("page/page.html.j2")).render(
        title=_clean_title(title),
        policy=policy,
        styles=styles,
        scripts=scripts,
        module=module,
        data=encode_payload(payload),
    )


def _read_file(name: str) -> str:
    """Read a file of this package; read as text, so that line ends are the same on every machine."""
    return files("raml.report").joinpath(name).read_text(encoding="utf-8")


def _hash_source(text: str) -> str:
    """Name an inline script or style for the content policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _clean_title(title: str) -> str:
    """Replace what HTML can't carry even when escaped: control characters and lone surrogates."""
    if not title.strip():
        raise DataError("The page's title is empty; pass a title or leave it out for the usual one.")
    return "".join(c if c.isprintable() else "\ufffd" for c in title)
