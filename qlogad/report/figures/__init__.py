"""The figures of a report: a file for each, named as its figure (pr_curves.py draws pr-curves.png), found by being here.

A file has one public function, `draw(record) -> Figure | None`: None where the record has nothing to show in it.
"""
