"""Hidden states and attention patterns of all layers on texts: passes and seconds, beside the original notebook's loops.

    python benchmarks/bench_passes.py [--models polish-gpt2 herbert] [--texts 24] [--clock cpu]

The notebook asked a model for one layer at a time: for each layer it ran every text by itself, with all hidden states, and kept one.
The library runs batches of texts and records all layers, with patterns or without, in one pass over each batch. Passes are counted at
the model. The notebook's loop is made for `--sampled` of its layers, and its seconds are scaled up. All take turns in one run.
`--models` takes whatever `analysis_lib.load` does, such as the folder of a model of real size (`tools/real_size_hub.py`). MiB are what
a way needs at most above the model, in a process of its own; of the notebook's loop, for one layer. The rows go to benchmarks/passes.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _memory import elsewhere, peak_of
from bench_heads import CLOCKS


def layers_of(loaded):
    """How many layers the notebook's loop goes through; it leaves the last state out."""
    return loaded.model.config.num_hidden_layers


def notebook(loaded, texts, layers):
    """One pass for each layer and text, as the loops of the notebook have it; one layer's states are kept at a time."""
    for layer in layers:
        kept = []
        for text in texts:
            inputs = loaded.tokenizer(text, return_tensors="pt")
            outputs = loaded.model(**inputs, output_hidden_states=True)
            kept.append(outputs.hidden_states[layer].cpu().detach().numpy().squeeze())
    return kept


def states(loaded, texts, layers):
    """All layers from one pass over each batch."""
    from analysis_lib import activations

    return activations.run(loaded, texts)


def states_and_patterns(loaded, texts, layers):
    """The same, with the patterns of all heads."""
    from analysis_lib import activations

    return activations.run(loaded, texts, outputs=("patterns",))


METHODS = {"states": states, "states and patterns": states_and_patterns, "notebook's loop": notebook}


def short_texts(loaded, count):
    """The first paragraphs of the book, cut to what the model can read."""
    from analysis_lib import texts
    from analysis_lib.norms import inputs

    return list(inputs.cut_to_fit([loaded], texts.paragraphs()["text"]))[:count]


def counted(loaded, work):
    """How many passes a piece of work makes."""
    calls = []
    handle = loaded.model.base_model.register_forward_hook(lambda *_: calls.append(1))
    try:
        work()
    finally:
        handle.remove()
    return len(calls)


def measure(name, options):
    """One row for each way."""
    import analysis_lib as al

    now, loaded = CLOCKS[options.clock], al.load(name)
    texts, n_layers = short_texts(loaded, options.texts), layers_of(loaded)
    some = np.unique(np.linspace(0, n_layers - 1, min(options.sampled, n_layers)).round().astype(int)).tolist()
    first = None
    for method, function in METHODS.items():
        function(loaded, texts[:1], some[:1])  # nothing is measured cold
        times = n_layers / len(some) if function is notebook else 1
        start = now()
        passes = counted(loaded, lambda f=function: f(loaded, texts, some)) * times
        seconds = (now() - start) * times
        first = first or seconds
        yield {
            "model": loaded.name,
            "layers": n_layers,
            "texts": len(texts),
            "method": method,
            "passes": round(passes),
            "seconds": seconds,
            "ratio": seconds / first,
            "peak_mib": elsewhere(__file__, "--memory-of-one", method, "--models", name, "--texts", options.texts),
        }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["polish-gpt2", "herbert"])
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--sampled", type=int, default=3, help="layers that the notebook's loop goes through")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_name("passes.csv"), help="file to write the rows to")
    parser.add_argument("--memory-of-one", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory_of_one:
        import analysis_lib as al

        loaded = al.load(options.models[0])
        texts = short_texts(loaded, options.texts)
        print(peak_of(lambda: METHODS[options.memory_of_one](loaded, texts, [0])))
        return
    rows = pd.DataFrame(row for name in options.models for row in measure(name, options))
    rows.to_csv(options.csv, index=False, float_format="%.5g", lineterminator="\n")
    print(f"{torch.get_num_threads()} threads, {options.clock} seconds")
    print(rows.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


if __name__ == "__main__":
    main()
