"""Charts of the tables of a report and of the frames, or of anybody's tables of the same form.

    import face_registry as fr

    fr.plot.ranking(fr.report(registry, "ROAS"))

Each function returns an Altair chart: a notebook shows it, `chart.save("ranking.svg")` writes it.
`docs/PYTHON.md` describes them.
"""

from queries.plot import distribution, over_time, pairs, ranking, timeline

__all__ = ["distribution", "over_time", "pairs", "ranking", "timeline"]
