"""One self-contained HTML page that shows where along its trajectories a model comes to the answer.

checks.py    whether records belong together
payload.py   records → the plain data that the page carries
answers.py   a readout → the answers in it, and where they settle
overview.py  records → the numbers at the page's top
build.py     plain data → one HTML text, with nothing left to fetch
page/        the page itself: template, style, and scripts in reading order
"""

from raml.report.build import build_report

__all__ = ["build_report"]
