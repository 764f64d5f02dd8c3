"""`rollouts.graphs=auto`: whether an engine captures CUDA graphs, which makes its start slow and every decoding step fast.

With graphs vLLM compiles the model and captures 54 of them: 35 to 45 s on an H100, even for 3 million weights (measured with vLLM
0.26). Without, each layer of each step waits for Python to launch its kernels: a quarter of a millisecond [assumed: twenty launches
of 12 µs; not measured. rollouts=hf, which does more in Python, took 1.9 ms a layer on the same card: 13.6 s for 200 tokens of 36
layers]. Graphs are captured where the steps to come would lose more than the start does.
"""

from __future__ import annotations

START_S = 40.0  # measured
LAYER_S = 0.25e-3  # assumed


def captures_graphs(choice: str | bool, layers: int, decoding_steps: int, device: str) -> bool:
    """`decoding_steps`: how many tokens one after another the engine's owner will ask for. A CPU has no graphs."""
    if device != "cuda":
        return False
    return decoding_steps * layers * LAYER_S > START_S if choice == "auto" else bool(choice)


__all__ = ["captures_graphs"]
