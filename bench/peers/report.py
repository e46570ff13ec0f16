"""Rows of results, and how they are printed, kept and judged."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import platform
from dataclasses import asdict, dataclass, field

HEAD = ("row", "measure", "ours", "peer", "ratio", "must", "moonshot", "verdict")


@dataclass
class Row:
    """One measured line. The figure that is judged is the ratio where there is a peer, else our own value."""

    row: str
    measure: str
    ours: float
    unit: str = "ms"
    peer: float | None = None
    must: float | None = None
    moonshot: float | None = None
    at_least: bool = False
    # What the figure is when it is neither ours ÷ peer nor ours.
    figure: float | None = None
    # How often a bound may be missed by; CI's small runs widen it.
    margin: float = 1.0
    spread: tuple[float, float] | None = None
    details: dict = field(default_factory=dict)

    @property
    def judged(self) -> float:
        """The figure that the bounds are for."""
        if self.figure is not None:
            return self.figure
        return self.ours / self.peer if self.peer else self.ours

    def reaches(self, bound: float | None, margin: float = 1.0) -> bool:
        """Whether the figure keeps a bound, within a margin."""
        if bound is None:
            return False
        return self.judged >= bound / margin if self.at_least else self.judged <= bound * margin

    @property
    def verdict(self) -> str:
        """moonshot, must, within the margin of a small run, MISSED; nothing for a line that is only told."""
        if self.must is None and self.moonshot is None:
            return ""
        if self.reaches(self.moonshot):
            return "moonshot"
        if self.must is None:
            return "below moonshot"
        if self.reaches(self.must):
            return "must"
        return "within margin" if self.reaches(self.must, self.margin) else "MISSED"

    def cells(self) -> tuple[str, ...]:
        """What stands in the table."""
        sign = "≥" if self.at_least else "≤"
        ratio = ""
        if self.peer is not None or self.figure is not None:
            ratio = shown(self.judged)
            if self.spread:
                ratio += f" ({shown(self.spread[0])}-{shown(self.spread[1])})"
        bounds = ["" if bound is None else f"{sign} {shown(bound)}" for bound in (self.must, self.moonshot)]
        peer = "" if self.peer is None else f"{shown(self.peer)} {self.unit}".strip()
        return (self.row, self.measure, f"{shown(self.ours)} {self.unit}".strip(), peer, ratio, *bounds, self.verdict)


def shown(value: float) -> str:
    """Three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(rows: list[Row]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row.cells()) + " |" for row in rows])


def machine() -> dict[str, object]:
    """Where this ran."""
    info = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), platform.machine())
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load_at_end": os.getloadavg()[0],
        "python": platform.python_version(),
    }


class Report:
    """Collects the rows of a run; prints each as it comes."""

    def __init__(self, name: str, options: dict) -> None:
        self.name = name
        self.rows: list[Row] = []
        self.results: dict[str, object] = {"benchmark": name, "options": options}
        self.plots: dict[str, str] = {}
        print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|", flush=True)

    def add(self, row: Row) -> None:
        """One more row."""
        self.rows.append(row)
        print("| " + " | ".join(row.cells()) + " |", flush=True)

    def write(self, folder: pathlib.Path) -> None:
        """NAME.json, NAME.md and the plots."""
        folder.mkdir(parents=True, exist_ok=True)
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        rows = [{**asdict(row), "figure": row.judged, "verdict": row.verdict} for row in self.rows]
        results = {**self.results, "date": date, "machine": machine(), "rows": rows}
        (folder / f"{self.name}.json").write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")
        for name, svg in self.plots.items():
            (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        where = ", ".join(f"{key} {value}" for key, value in machine().items())
        text = [f"# {self.name}", f"{date}; {where}.", table(self.rows)]
        text += [f"![{name}]({name}.svg)" for name in self.plots]
        options = "\n".join(
            f"- {key}: {value}" for key, value in self.results.items() if isinstance(value, (dict, str))
        )
        text += ["Settings and data:", options, f"All figures: [{self.name}.json]({self.name}.json)."]
        (folder / f"{self.name}.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")

    def missed(self) -> list[str]:
        """Rows that did not keep what they must."""
        return [row.row for row in self.rows if row.verdict == "MISSED"]
