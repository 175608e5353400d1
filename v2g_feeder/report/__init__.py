"""The report: one offline HTML file that is built from the files of a result folder alone.

:func:`write_report` builds it; the sentences (:mod:`~v2g_feeder.report.answer`), the tables
(:mod:`~v2g_feeder.report.tables`) and the drawings (:mod:`~v2g_feeder.report.figures`) can each be
used on their own.
"""

from v2g_feeder.report.html import write_report
from v2g_feeder.report.reading import Result, read_result

__all__ = ["Result", "read_result", "write_report"]
