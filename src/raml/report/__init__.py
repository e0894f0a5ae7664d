"""One self-contained HTML page that shows where along its trajectories a model comes to the answer.

checks.py    whether records belong together
payload.py   records → the plain data that the page carries
answers.py   a readout → the answers in it, and where they settle
overview.py  records → the numbers at the page's top
charts.py    what a view is made of: charts, tables, surfaces
looks.py     which colour, shape and dashes mean what
plain.py     numbers as views carry them
claims.py, landscapes.py, updates.py, frontiers.py, influences.py
             records → the page's other views; findings.py and summary_findings.py judge the claims,
             alignments.py draws the test of Eq. 4
build.py     plain data → one HTML text, with nothing left to fetch
page/        the page itself: template, style, and scripts in reading order
"""

from raml.report.build import build_report
from raml.report.claims import describe_claims
from raml.report.frontiers import describe_frontiers
from raml.report.influences import describe_influences
from raml.report.landscapes import describe_landscapes
from raml.report.updates import describe_updates

__all__ = [
    "build_report",
    "describe_claims",
    "describe_frontiers",
    "describe_influences",
    "describe_landscapes",
    "describe_updates",
]
