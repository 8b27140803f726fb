"""The answer proper of a model: the text without its thoughts and without the tokens of its chat template.

Reasoning models whose server does not part thoughts from answers write both into one text. The thoughts may hold drafts
in the very form that was asked for, so they are removed before anything is read. Special tokens come through if a
server does not skip them; what follows the end of a turn is no longer the answer.
"""

from __future__ import annotations

import re
from typing import Final

_THOUGHT_NAMES: Final = r"(?:\w+:)?(?:think|thinking|thoughts?|reason|reasoning|reflection|analysis|scratchpad)"
_OPEN: Final = rf"(?:<{_THOUGHT_NAMES}>|\[think\]|◁think▷)"
_CLOSE: Final = rf"(?:</{_THOUGHT_NAMES}>|\[/think\]|◁/think▷)"
_THOUGHT: Final = re.compile(rf"{_OPEN}|(?P<close>{_CLOSE})", re.IGNORECASE)
_CHANNEL: Final = re.compile(r"<\|channel\|>\s*(?P<name>\w+)[^<]*<\|message\|>", re.IGNORECASE)
_ROLE: Final = re.compile(
    r"(?:<\|im_start\|>|<\|start\|>|<start_of_turn>|<\|start_header_id\|>)\s*(?:assistant|model)?(?:<\|end_header_id\|>)?"
    r"|<\|(?:assistant|begin_of_box|end_of_box)\|>",
    re.IGNORECASE,
)
_END_OF_TURN: Final = re.compile(
    r"</s>|<eos>|<end_of_turn>|<end_of_utterance>|<\|(?:im_end|eot_id|eom_id|end_of_text|endoftext|end|return|user)\|>",
    re.IGNORECASE,
)
_OTHER_TOKEN: Final = re.compile(
    r"<\|[\w/ ]{1,40}\|>|</?(?:s|bos|pad|unk|image|answer|output|response|caption|summary)>|\[/?INST\]", re.IGNORECASE
)

_MARKUP: Final = re.compile(r"```\w*|\*\*|__|^\s*#{1,6}\s+|^\s*[-*•]\s+", re.MULTILINE)


def spoken_answer(text: str) -> str:
    """Return what an answer says: without thoughts, special tokens, and text after the end of the first turn.

    Thoughts whose beginning is missing, as the chat template wrote it, end at the last closing tag. Thoughts that never
    end leave nothing of what follows them.
    """
    return _without_tokens(_without_thoughts(_final_channel(text))).strip()


def without_markup(text: str) -> str:
    """Return a text without Markdown's fences, headings, bullets and bold."""
    return _MARKUP.sub("", text)


def _final_channel(text: str) -> str:
    """Return the message in the channel ``final``, or nothing if there are only others; other texts are unchanged."""
    channels = list(_CHANNEL.finditer(text))
    if not channels:
        return text
    final = [match for match in channels if match["name"].casefold() == "final"]
    return text[final[-1].end() :] if final else text[: channels[0].start()]


def _without_thoughts(text: str) -> str:
    """Remove thoughts; nested ones end with the outermost."""
    kept: list[str] = []
    depth, position = 0, 0
    for tag in _THOUGHT.finditer(text):
        if depth == 0 and not tag["close"]:
            kept.append(text[position : tag.start()])
        elif depth == 0:
            kept.clear()  # the beginning was part of the prompt: everything so far was thought
        depth = max(depth - 1, 0) if tag["close"] else depth + 1
        position = tag.end()
    return "".join([*kept, "" if depth else text[position:]])


def _without_tokens(text: str) -> str:
    turns = (_OTHER_TOKEN.sub(" ", _ROLE.sub(" ", turn)) for turn in _END_OF_TURN.split(text))
    return next((turn for turn in turns if turn.strip()), "")
