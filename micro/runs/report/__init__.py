"""One self-contained HTML page a run: charts in SVG, no network, readable on a phone and in print."""

from micro.runs.report.about import About
from micro.runs.report.judged import SHORT_NAMES, names_of
from micro.runs.report.run_page import STAGES, distilling_sentence, render_report, with_emulated

__all__ = ["SHORT_NAMES", "STAGES", "About", "distilling_sentence", "names_of", "render_report", "with_emulated"]
