"""Every design file keeps the contract of designs."""

import pytest

from qlogad import names
from qlogad.circuit.design import Design
from qlogad.circuit.encoding import assemble
from qlogad.testing.designs import check_design

ALL = [(role, name) for role in ("ansatz", "encoding") for name in names.designs(role)]


@pytest.mark.sample(20)
@pytest.mark.parametrize(("role", "name"), ALL)
def test_design(role, name):
    check_design(name, role)


@pytest.mark.slow
@pytest.mark.parametrize(("role", "name"), ALL)
def test_design_everywhere(role, name):
    check_design(name, role, thorough=True)


@pytest.mark.parametrize(("role", "name"), ALL)
def test_design_says_what_it_is(role, name):
    design = Design.load(name, role)
    assert design.name == name
    assert design.source
    assert design.check.weights or role == "encoding"


PAIRS = [
    *(("angle-y", ansatz) for ansatz in names.designs("ansatz")),
    *((encoding, "strongly-entangling") for encoding in names.designs("encoding")),
]


@pytest.mark.parametrize(("encoding", "ansatz"), PAIRS)
def test_encodings_and_ansaetze_go_together(encoding, ansatz):
    once, again = (assemble(encoding, ansatz, 4, 2, reupload=reupload) for reupload in (False, True))
    assert once.inputs == again.inputs
    reads = [
        [angle.index for gate in circuit.gates for angle in gate.angles if angle.source == "input"] for circuit in (once, again)
    ]
    assert set(reads[0]) == set(reads[1]) == set(range(once.inputs))
    assert len(reads[1]) == 2 * len(reads[0])
    assert Design.load(ansatz, "ansatz").build(4, 2).weights == once.weights == again.weights
