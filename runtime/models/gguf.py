"""GGUF to a transformers folder: vLLM and transformers open the result like any other model.

The file's quantised weights are taken back to bfloat16; tokenizer, chat template and generation settings come from
the file's own metadata.
"""

from __future__ import annotations

from pathlib import Path

from runtime.errors import UserError, one_line


def convert(gguf: Path, folder: Path) -> None:
    """Write the model in `gguf` into `folder` as safetensors, with its configuration and tokenizer.

    Raises:
        UserError: the file is no GGUF, or of an architecture that transformers can't read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    except (ValueError, KeyError, NotImplementedError) as error:
        reason = one_line(error)
        raise UserError(f"model {gguf.name}: transformers can't read this GGUF file ({reason})") from None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
