"""Controls: what must stand beside a quantum core before anything is said for its circuit, one per file, named by its file.

`same-wrapper` asks whether the circuit earns its place, `same-total` whether a saving of weights is the circuit's, `frozen` whether
training the angles matters, `no-entanglement` whether entanglement does (`no-entanglement-matched`: at as many live weights), `dephased`
whether coherence does.
"""
