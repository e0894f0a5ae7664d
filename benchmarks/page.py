"""How long the page takes to open, and to move its cursor, for one trajectory of many tokens.

    python benchmarks/page.py --lens 2000 32000

Times are of a headless Chromium on the processor: from the load's beginning until the curve is drawn, and from a jump
to a far token until the next frame is painted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from raml.records import Manifest, ModelIdentity, Question, Trace, TraceSettings, Trajectory
from raml.report import build_report

FRAMES = """async () => {
    const times = [];
    for (let n = 0; n < 40; n++) {
        const from = performance.now();
        moveByKey(n % 2 ? "Home" : "End");
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        times.push(performance.now() - from);
    }
    return times;
}"""
PRESS = """() => { window.moveByKey = (key) =>
    document.getElementById("tokens").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })); }"""


def main() -> None:
    """Time pages of several lengths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lens", type=int, nargs="+", default=[2000, 32_000])
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        for n in arguments.lens:
            file = Path(folder) / f"{n}.html"
            file.write_text(make_page(n), encoding="utf-8")
            opened_s, frames = time_page(browser.new_page(viewport={"width": 1400, "height": 900}), file)
            slowest = sorted(frames)[int(0.95 * len(frames))]
            print(
                f"{n:,} tokens: {file.stat().st_size / 1e6:.1f} MB, open after {opened_s:.2f} s, a jump to the other "
                f"end takes {statistics.median(frames):.0f} ms (median), {slowest:.0f} ms (95th percentile)"
            )


def time_page(page: Page, file: Path) -> tuple[float, list[float]]:
    """Seconds until the page is drawn, and milliseconds of each jump."""
    started = time.perf_counter()
    page.goto(file.as_uri())
    page.locator("#curve .line-smooth").wait_for(state="attached")
    opened_s = time.perf_counter() - started
    page.evaluate(PRESS)
    return opened_s, page.evaluate(FRAMES)


def make_page(n: int) -> str:
    """One trajectory of n tokens, in lines of ten."""
    model = ModelIdentity("made up", None, "00" * 32, "float32", "cpu")
    pieces = [f" word{i}" if i % 10 else f"\nline{i}" for i in range(n)]
    trajectory = Trajectory(
        id="long", question_id="q", repeat=0, model=model, mode="think", prompt_ids=(1,), token_ids=tuple(range(n)),
        reasoning_len=n, text="".join(pieces), token_ends=tuple(np.cumsum([len(piece) for piece in pieces]).tolist()),
        answer="5", correct=True, finish="stop",
    )  # fmt: skip
    nll = np.linspace(4, 0.5, n + 1) + np.random.default_rng(0).random(n + 1)
    trace = Trace(
        id="trace", trajectory_id="long", model=model, settings=TraceSettings(), scorer="one-pass", bridge_ids=(1,),
        answer_ids=(2,), prefix_lens=np.arange(n + 1, dtype=np.int32), nll=nll[:, None].astype(np.float32),
    )  # fmt: skip
    question = Question(id="q", prompt="What is 2 + 3?", answer="5")
    return build_report([question], [trajectory], [trace], Manifest(()))


if __name__ == "__main__":
    main()
