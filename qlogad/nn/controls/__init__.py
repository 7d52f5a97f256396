"""Controls: ablations that a claim about a quantum core must be compared with, one per file; the file name is the control's name.

`same-wrapper` tests whether the circuit contributes at all, `same-total` whether a saving of weights is due to the circuit, `frozen`
whether training the angles matters, `no-entanglement` whether entanglement matters (`no-entanglement-matched`: at the same number of
live weights), and `dephased` whether coherence matters.
"""
