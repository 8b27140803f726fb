"""Conversion of a GGUF file to a transformers folder, which vLLM and transformers open like any other model.

The quantized weights are converted to bfloat16; tokenizer, chat template and generation settings come from the
file's metadata.
"""

from __future__ import annotations

import struct
from pathlib import Path

from runtime.errors import UserError, one_line


def convert(gguf: Path, folder: Path) -> None:
    """Write the model in `gguf` into `folder` as safetensors, with its configuration and tokenizer.

    Raises:
        UserError: the file is not GGUF, or transformers can't read its architecture.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    except (ValueError, KeyError, IndexError, NotImplementedError, struct.error) as error:
        reason = one_line(error)
        raise UserError(f"model {gguf.name}: transformers can't read this GGUF file ({reason})") from None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
