"""Laws of what is said before training of events that training does not know, and of mends that can help."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlogad.experiment.data import Data
from qlogad.experiment.experiment import Experiment
from qlogad.experiment.ground import Ground, Part, ground, open_source
from qlogad.experiment.watch import Watch
from qlogad.features.features import Features, Labels
from qlogad.logs.split import SplitBy
from qlogad.run import run

SIZE = 3
rows = st.lists(st.tuples(st.lists(st.integers(0, SIZE), max_size=5), st.integers(1, 4)), max_size=6)


@given(rows)
def test_unseen_shares_count_windows(given_rows: list[tuple[list[int], int]]) -> None:
    lists, weight = [ids for ids, _ in given_rows], [times for _, times in given_rows]
    none = np.zeros(len(lists), dtype=np.int64)
    part = Part(Features.from_sequences(lists, size=SIZE, weight=weight), Labels(none), none.astype(str), none, none.astype(float))
    events = [event for ids, times in given_rows for _ in range(times) for event in ids]
    assert part.unseen == pytest.approx(np.mean([event == SIZE for event in events]) if events else np.nan, nan_ok=True)
    assert part.only_unseen == sum(times for ids, times in given_rows if ids and all(event == SIZE for event in ids))


def data(folder: Path, late: list[str], inject: str | None) -> Data:
    """180 normal windows, of which the later half, the test part, hold what `late` says in turn."""
    lines = [
        f"w{number},Normal,1 2 3 2" if number < 90 else f"w{number},Normal,{late[number % len(late)]}" for number in range(180)
    ]
    (folder / "windows.csv").write_text("\n".join(["id,label,keys", *lines]) + "\n")
    source = {"path": str(folder / "windows.csv")}
    return Data(dataset="sequences", source=source, split=SplitBy(by="order", cuts=(0.5,)), inject=inject)


def made(folder: Path, late: list[str], inject: str | None = None) -> Ground:
    asked = data(folder, late, inject)
    return ground(asked, open_source(asked), ["ids"], cut=0)


@pytest.mark.parametrize("inject", [None, "swap:1", "move:2"])
def test_a_part_of_only_unseen_events_is_told_with_its_count(tmp_path: Path, inject: str | None) -> None:
    found = made(tmp_path, ["7 8 9 7"], inject).warnings
    assert any(text.startswith("90 of 90 test windows hold only unseen events") for text in found)
    assert not any("validation windows hold only" in text or "train windows hold only" in text for text in found)
    (told,) = (text for text in found if "no test anomalies" in text)
    assert ("set `inject`" in told) == (inject is None), "what is set already is no mend"
    assert inject is None or f"inject = '{inject}'" in told


def test_mostly_unseen_events_are_told_and_few_are_not(tmp_path: Path) -> None:
    assert any("80% of the events of test windows are unseen" in text for text in made(tmp_path, ["1 7 8 9 7"]).warnings)
    assert not any("unseen" in text for text in made(tmp_path, ["1 2 3 9", "1 2 3 2"]).warnings)
    assert not any("unseen" in text for text in made(tmp_path, ["7 8 9 7", "1 2 3 2", "1 2 3 2"]).warnings)


def test_the_shares_of_all_parts_stand_before_training(tmp_path: Path) -> None:
    document = tmp_path / "exp.toml"
    data(tmp_path, ["1 7", "1 2"], None)
    document.write_text(
        f'question = "?"\n[data]\ndataset = "sequences"\npath = "{tmp_path}/windows.csv"\nsplit = {{ by = "order", cuts = [0.5] }}\n'
        '[[contender]]\nname = "length"\ndetector = "length"\n[judge]\nseeds = 1\nresamples = 10\n'
    )

    class Told(Watch):
        text = ""

        def prepared(self, text: str) -> None:
            Told.text = text

    run(Experiment.load(document), tmp_path / "results", watch=Told())
    title = "unseen events: train, validation, test, in flight"
    assert title in Told.text
    assert "0.0%, 0.0%, 25.0%, -" in Told.text
    assert "templates new / vanished / changed in rate: validation, test, in flight" in Told.text
    assert "0 / 0 / 0, 1 / 1 / 2, -" in Told.text
    before = (tmp_path / "results" / "exp" / "table.md").read_text().split("## Results")[0]
    assert title in before
    assert "0.0%, 0.0%, 25.0%, -" in before
