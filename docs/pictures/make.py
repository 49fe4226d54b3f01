"""`make pictures`: Temporal's UI and a report, both of real releases, as Chromium sees them."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import settings
from examples.demo import Demo

HERE = Path(__file__).parent
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--virtual-time-budget=15000",
)  # fmt: skip


def shoot(browser: str, url: str, target: Path, size: tuple[int, int] = (1500, 1250)) -> None:
    """One screenshot by a browser with an empty profile."""
    window = f"--window-size={size[0]},{size[1]}"
    with tempfile.TemporaryDirectory(prefix="pictures-") as profile:
        subprocess.run(
            (browser, *QUIET, window, f"--user-data-dir={profile}", f"--screenshot={target}", url),
            check=True,
            capture_output=True,
            timeout=120,
        )
    print(f"written: {target}")


def main() -> int:
    """Release twice and look at the second; then a bad one, and look at its report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--wheelhouse", type=Path, required=True)
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tidegate")
    wishes = options.parse_args()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("install chromium first", file=sys.stderr)
        return 2
    demo = Demo(wishes.folder.resolve(), wishes.wheelhouse)
    demo.prepare()
    try:
        demo.start()
        demo.release()
        demo.change(2)  # the second is judged beside a stable
        demo.release()
        ui = settings.load(demo.state / "tidegate.toml").temporal.ui
        page = f"{ui}/namespaces/default/workflows"
        shoot(browser, f"{page}/{demo.releases[-1]}", HERE / "temporal-ui.png")
        demo.change(3)
        demo.release()
        report = demo.folder / "report.html"
        demo.tidegate("report", demo.releases[-1], "--html", str(report))
        shoot(browser, report.as_uri(), HERE / "report.png", (1000, 1440))
    finally:
        demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
