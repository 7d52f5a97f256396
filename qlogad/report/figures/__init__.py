"""The figures of a report: one file each, named after its figure (pr_curves.py draws pr-curves.png) and found by existing.

A file has one public function, `draw(record) -> Figure | None`, which returns None if the record has nothing to show.
"""
