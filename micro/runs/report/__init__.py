"""One self-contained HTML page a run: charts in SVG, no network, readable on a phone and in print."""

from micro.runs.report.judged import NAMES
from micro.runs.report.run_page import STAGES, distilling_sentence, render_report, with_emulated

__all__ = ["NAMES", "STAGES", "distilling_sentence", "render_report", "with_emulated"]
