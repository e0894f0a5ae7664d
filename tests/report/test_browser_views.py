"""The views beside the trajectories, in a real browser: tabs, charts, tables, surfaces and their files."""

from __future__ import annotations

import base64
import csv
import io
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from raml.report.charts import Axis, Chart, Path, Series, Surface, Table, View
from tests.report.browsing import needs_browser, wait_until
from tests.report.conftest import HOSTILE_PIECES
from tests.report.test_browser_reading import download

pytestmark = needs_browser
SVG = "{http://www.w3.org/2000/svg}"

VALUES = Chart(
    "values",
    "Accuracy against tokens",
    "Means with 95 % intervals.",
    Axis("tokens"),
    Axis("accuracy", "percent"),
    [
        Series(
            "cut", 0, [10, 20, 40], [0.25, 0.5, None], [0.2, 0.4, None], [0.3, 0.6, None], ["a", "b", "c"], line=True
        ),
        Series("full", 3, [80], [0.75]),
        Series("single", 7, [10, 20], [0.1, 0.9], faint=True),
    ],
)
ROWS = Chart(
    "rows",
    "Effect by word",
    "Beyond controls.",
    Axis("effect, nats", zero=True),
    Axis(""),
    [Series("size", 2, [0.5, -0.25], [0, 1], [0.25, -0.5], [0.75, 0.0])],
    rows=["wait", "however"],
)
TABLE = Table(
    "table", "All points", "Intervals over questions.", ["name", "value"], [["cut", "50.0"], ["full", "75.0"]]
)
SURFACE = Surface(
    "surface",
    "A bowl",
    "L̂ on a plane.",
    [-1.0, 0.0, 1.0],
    [-1.0, 0.0, 1.0],
    [[2.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 3.5]],
    is_log=False,
    paths=[
        Path(
            "right, sum-0",
            True,
            "sum-0",
            [0, 1],
            [1.5, 0.5],
            [0.0, 0.25],
            {
                "foot on the plane": ([0.0, 0.5], [0.0, 0.5], [0.0, 0.5]),
                "as in the paper": ([0.0, 1.0], [0.0, 0.0], [0.0, 1.0]),
            },
        )
    ],
)
VIEWS = (
    View("overview", "Overview", ["What this run says."], [TABLE]),
    View("frontier", "Frontier", ["One paragraph.", "Another one."], [VALUES, ROWS]),
    View("landscape", "Landscape", [], [SURFACE]),
)


def test_tabs_lead_to_views_and_the_address_names_them(visit, run):
    opened = visit(run, views=VIEWS)
    page = opened.page
    assert page.locator("#tabs a").all_inner_texts() == [
        "Trajectories",
        "Overview",
        "Frontier",
        "Landscape",
        "How it was made",
    ]
    for key in ("overview", "frontier", "landscape", "manifest", "explorer"):
        page.locator(f'#tabs [data-view="{key}"]').click()
        page.locator(f"#view-{key}").wait_for()
        shown = page.locator(".page-view").evaluate_all("views => views.filter((v) => !v.hidden).map((v) => v.id)")
        assert shown == [f"view-{key}"]
        assert page.locator("#tabs [aria-current]").get_attribute("data-view") == key
    page.locator('#tabs [data-view="frontier"]').click()
    page.wait_for_url(re.compile("v=frontier&q=q-sum&t=sum-0&i=3$"))
    page.reload()
    assert page.locator("#view-frontier").is_visible()
    assert opened.problems == []


def test_a_link_to_a_view_keeps_the_trajectory(visit, run):
    opened = visit(run, views=VIEWS, fragment="#t=sum-1&i=4")
    opened.page.locator('#tabs [data-view="overview"]').click()
    opened.page.locator('#tabs [data-view="explorer"]').click()
    assert opened.current_card() == "sum-1"
    assert opened.index() == 4


def test_a_view_that_is_not_there_is_told(visit, run):
    opened = visit(run, views=VIEWS, fragment="#v=updates")
    assert (
        opened.page.locator("#status").inner_text().startswith("The link names a question, trajectory, view or figure")
    )
    assert opened.page.locator("#view-explorer").is_visible()


def test_a_link_leads_to_a_figure_and_stays_in_the_address(visit, run):
    opened = visit(run, views=VIEWS, fragment="#t=sum-1&i=4")
    page = opened.page
    page.locator('#tabs [data-view="frontier"]').click()
    page.locator("#figure-rows").get_by_role("link", name="Link to this figure: Effect by word").click()
    page.wait_for_url(re.compile("#f=rows&q=q-sum&t=sum-1&i=4$"))
    assert page.locator("#tabs [aria-current]").get_attribute("data-view") == "frontier"
    again = visit(run, views=VIEWS, fragment="#f=surface")
    assert again.page.locator("#tabs [aria-current]").get_attribute("data-view") == "landscape"
    assert again.page.locator("#figure-surface").is_visible()
    again.page.locator('#tabs [data-view="overview"]').click()
    again.page.wait_for_url(re.compile("#v=overview&q="))
    assert opened.problems == again.problems == []


def test_a_link_to_a_figure_that_is_not_there_is_told(visit, run):
    page = visit(run, views=VIEWS, fragment="#f=nothing").page
    assert "figure that is not in this page" in page.locator("#status").inner_text()


def test_a_chart_places_its_marks_by_their_values(visit, run):
    page = visit(run, views=VIEWS, fragment="#v=frontier").page
    marks = page.locator("#figure-values .mark-shape")
    assert marks.count() == 3  # of four measured ones, one is unknown
    boxes = [marks.nth(n).bounding_box() for n in range(3)]
    x, y = ([box[side] + box[size] / 2 for box in boxes] for side, size in (("x", "width"), ("y", "height")))
    assert (x[2] - x[0]) / (x[1] - x[0]) == pytest.approx((80 - 10) / (20 - 10), rel=0.02)
    assert (y[0] - y[2]) / (y[0] - y[1]) == pytest.approx((0.75 - 0.25) / (0.5 - 0.25), rel=0.02)
    assert page.locator("#figure-values .interval").count() == 2
    assert page.locator("#figure-values .mark-faint").count() == 2
    assert page.locator("#figure-values .chart-legend li").all_inner_texts() == ["cut", "full", "single"]


def test_rows_stand_below_each_other_in_their_order(visit, run):
    page = visit(run, views=VIEWS, fragment="#v=frontier").page
    labels = page.locator("#figure-rows .axis").nth(1).locator("text")
    assert labels.all_text_contents() == ["wait", "however"]
    (first, second) = (page.locator("#figure-rows .mark-shape").nth(n).bounding_box() for n in (0, 1))
    assert first["y"] < second["y"]
    assert first["x"] > second["x"]
    assert page.locator("#figure-rows .zero").count() == 1


def test_pointer_and_keyboard_say_what_a_mark_is(visit, run):
    opened = visit(run, views=VIEWS, fragment="#v=frontier")
    page = opened.page
    tip = page.locator("#figure-values .tip")
    page.locator("#figure-values .mark-shape").nth(1).hover()
    assert tip.inner_text().splitlines() == ["cut", "accuracy: 50.0% [40.0%, 60.0%]", "tokens: 20", "b"]
    page.locator("#figure-rows .chart").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert page.locator("#figure-rows .tip").inner_text().splitlines() == [
        "however, size",
        "effect, nats: −0.25 [−0.5, 0]",
    ]
    page.keyboard.press("Tab")
    assert not page.locator("#figure-rows .tip").is_visible()
    assert opened.problems == []


def test_arrow_keys_enter_the_marks_at_either_end(visit, run):
    page = visit(run, views=VIEWS, fragment="#v=frontier").page
    for key, expected in (("ArrowRight", "wait, size"), ("ArrowLeft", "however, size")):
        page.locator("#figure-rows .chart").focus()
        page.keyboard.press(key)
        assert page.locator("#figure-rows .tip").inner_text().splitlines()[0] == expected
        page.keyboard.press("Tab")


def test_many_series_of_one_row_stay_nearer_to_it_than_to_the_next(visit, run):
    series = [Series(f"Pass@{k}", k, [0.5, 0.5], [0, 1]) for k in range(7)]
    chart = Chart("many", "Accuracy", "", Axis("share", "percent"), Axis(""), series, rows=["one", "other"])
    page = visit(run, views=(View("frontier", "Frontier", [], [chart]),), fragment="#v=frontier").page
    page.locator("#figure-many .mark-shape").first.wait_for()
    marks = page.locator("#figure-many .chart .mark-shape").evaluate_all(
        "marks => marks.map((mark) => { const box = mark.getBoundingClientRect(); return box.y + box.height / 2; })"
    )
    first, second = marks[::2], marks[1::2]
    assert min(second) - max(first) > max(b - a for a, b in pairwise(first)) + 3


def test_a_chart_s_file_has_its_legend(visit, run):
    page = visit(run, views=VIEWS, fragment="#v=frontier").page
    _, svg = download(page, page.locator("#figure-values button", has_text="SVG"))
    root = ElementTree.fromstring(svg)
    assert {"cut", "full", "single"} <= {text.text for text in root.iter(f"{SVG}text")}
    on_screen = page.locator("#figure-values .chart svg").bounding_box()["height"]
    assert float(root.get("height")) > on_screen + 20
    tops = [float(symbol.get("y")) for symbol in root.findall(f"{SVG}svg")]
    assert len(tops) == 3
    assert min(tops) >= on_screen


def test_each_download_button_says_of_what(visit, run):
    page = visit(run, views=VIEWS, fragment="#v=frontier").page
    labels = page.locator(".download").evaluate_all("buttons => buttons.map((b) => b.getAttribute('aria-label'))")
    assert len(labels) == len(set(labels)) == 2 + 2 * 3
    assert "CSV, download the data: Effect by word" in labels


def test_on_paper_a_chart_is_no_wider_than_its_place(visit, run):
    page = visit(run, views=VIEWS, fragment="#v=frontier").page
    page.locator("#figure-values .mark-shape").first.wait_for()
    page.emulate_media(media="print")
    width = page.evaluate(
        """() => {  // before anything is drawn again, as on the way to paper
            const chart = document.querySelector("#figure-values .chart");
            chart.style.width = "250px";
            return chart.firstElementChild.getBoundingClientRect().width;
        }"""
    )
    assert width <= 250


def test_charts_and_tables_download(visit, run):
    opened = visit(run, views=VIEWS, fragment="#v=frontier")
    page = opened.page
    name, text = download(page, page.locator("#figure-values button", has_text="CSV"))
    rows = list(csv.reader(io.StringIO(text)))
    assert name == "values.csv"
    assert rows[:2] == [
        ["series", "tokens", "accuracy", "low", "high", "note"],
        ["cut", "10", "0.25", "0.2", "0.3", "a"],
    ]
    assert rows[3] == ["cut", "40", "", "", "", "c"]
    assert len(rows) == 1 + 3 + 1 + 2
    _, text = download(page, page.locator("#figure-rows button", has_text="CSV"))
    assert list(csv.reader(io.StringIO(text)))[2] == ["size", "however", "-0.25", "-0.5", "0", ""]
    _, svg = download(page, page.locator("#figure-values button", has_text="SVG"))
    root = ElementTree.fromstring(svg)
    assert root.find(f"{SVG}title").text == "Accuracy against tokens"
    assert "accuracy" in [text.text for text in root.iter(f"{SVG}text")]
    page.locator('#tabs [data-view="overview"]').click()
    _, text = download(page, page.locator("#figure-table button"))
    assert text == "name,value\r\ncut,50.0\r\nfull,75.0\r\n"
    assert opened.problems == []


def wait_for_scene(page):
    wait_until(page, "document.querySelector('.scene')?._fullLayout?.scene?._scene")


def test_a_surface_turns_by_keyboard_changes_its_paths_and_downloads(visit, run):
    opened = visit(run, views=VIEWS, fragment="#v=landscape")
    page = opened.page
    wait_for_scene(page)
    eye = "document.querySelector('.scene')._fullLayout.scene.camera.eye.x"
    before = page.evaluate(eye)
    page.locator(".scene").focus()
    page.keyboard.press("ArrowLeft")
    wait_until(page, f"{eye} !== {before}")
    assert page.evaluate("document.querySelector('.scene').data[1].x") == [0, 0.5]
    page.locator("#figure-surface select").nth(1).select_option("as in the paper")
    wait_until(page, "document.querySelector('.scene').data[1].x[1] === 1")
    name, svg = download(page, page.locator("#figure-surface button", has_text="SVG"))
    assert name == "surface.svg"
    root = ElementTree.fromstring(svg)
    (image,) = root.findall(f"{SVG}image")
    assert len(base64.b64decode(image.get("href").removeprefix("data:image/png;base64,"))) > 5000
    assert "nats" in [text.text for text in root.iter(f"{SVG}text")]
    _, text = download(page, page.locator("#figure-surface button", has_text="CSV"))
    rows = list(csv.reader(io.StringIO(text)))
    assert ["surface", "", "1", "1", "3.5", ""] in rows
    assert ["path sum-0, as in the paper", "1", "1", "0", "1", "0.5"] in rows
    assert opened.problems == []
    assert all(url.split("#")[0] == opened.address or url.startswith(("blob:", "data:")) for url in opened.requests)


def test_a_surface_is_there_from_above_too(visit, run):
    opened = visit(run, views=VIEWS, fragment="#v=landscape")
    page = opened.page
    wait_for_scene(page)
    page.locator("#figure-surface select").first.select_option("above")
    page.locator(".chart-svg .path-line").wait_for()
    assert not page.locator(".scene").is_visible()
    assert page.locator(".from-above .chart-legend").inner_text() == "path of a trajectory that is right"
    line, origin = (
        page.locator(f"#figure-surface .chart-svg .{name}").bounding_box() for name in ("path-line", "origin")
    )
    # The path begins at the weights themselves and goes up and to the right.
    assert line["x"] == pytest.approx(origin["x"] + origin["width"] / 2, abs=2.5)
    assert line["y"] + line["height"] == pytest.approx(origin["y"] + origin["height"] / 2, abs=2.5)
    page.locator("#theme").click()
    assert opened.problems == []


def test_paper_gets_a_surface_from_above(visit, run):
    page = visit(run, views=VIEWS, fragment="#v=landscape").page
    wait_for_scene(page)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".from-above .contour").first.is_visible()
    assert not page.locator(".scene").is_visible()
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.locator(".from-above").is_visible()
    assert page.locator(".scene").is_visible()


def test_a_page_without_a_surface_has_no_plotly_and_the_stricter_policy(run):
    from raml.report import build_report

    plain, full = (build_report(*run.records, views=views) for views in (VIEWS[:2], VIEWS))
    assert "plotly.js" not in plain
    assert "unsafe-inline" not in plain
    assert "plotly.js" in full
    assert "style-src-attr &#39;unsafe-inline&#39;" in full
    assert "script-src &#39;sha256-" in full
    assert len(full) - len(plain) < 1.9e6


def test_hostile_text_is_inert_in_the_views(visit, run):
    poison = "".join(HOSTILE_PIECES[:7])
    chart = Chart("evil", poison, poison, Axis(poison), Axis(poison), [Series(poison, 0, [1], [1], notes=[poison])])
    rows = Chart("rows", poison, poison, Axis(poison), Axis(""), [Series(poison, 1, [1], [0])], rows=[poison])
    path = Path(poison, None, poison, [0], [1.0], [0.0], {"foot on the plane": ([0.0], [0.0], [0.0])})
    surface = Surface("s", poison, poison, [0, 1, 2], [0, 1, 2], [[1.0, 2.0, 3.0]] * 3, is_log=False, paths=[path])
    views = (
        View("tokens", poison, [poison], [chart, rows, surface, Table("t", poison, poison, [poison], [[poison]])]),
    )
    opened = visit(run, views=views, fragment="#v=tokens")
    page = opened.page
    page.locator("#figure-evil .mark-shape").hover()
    _, svg = download(page, page.locator("#figure-evil button", has_text="SVG"))
    assert "nul\\x00nul" in ElementTree.fromstring(svg).find(f"{SVG}title").text
    page.locator("#figure-s").scroll_into_view_if_needed()
    wait_for_scene(page)
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    assert page.locator("#view-tokens :is(script, iframe, object, embed, img)").count() == 0
    links = page.locator("#view-tokens a").evaluate_all("links => links.map((a) => a.getAttribute('href'))")
    assert links == ["#f=evil", "#f=rows", "#f=s", "#f=t"]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page.locator("body").inner_text())
    assert opened.problems == []


@pytest.mark.parametrize("width", [390, 1000])
def test_views_never_scroll_sideways(visit, run, width):
    page = visit(run, views=VIEWS, width=width).page
    for view in VIEWS:
        page.locator(f'#tabs [data-view="{view.key}"]').click()
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
