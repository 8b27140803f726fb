"""Replies of the fake language model: a careful one, one that obeys injected orders, and one that talks noise."""

from __future__ import annotations

import json
import re

from support.fake_llm import Body, Reply, user_text

SEEN = "a red ball on a wooden table"
"""Caption of every picture."""
INVENTED = "A purple elephant dances."
"""Claim in every grounded text that no evidence supports."""
INJECTED = "the president resigned on the moon"
"""Claim that a subtitle of `support.curate_runs.talk(..., injected=True)` orders the model to make."""


def careful(body: Body) -> Reply:
    """Reply with captions, copied summaries, and grounded text of one supported and one unsupported claim."""
    if has_image(body):
        return Reply(SEEN)
    text = user_text(body)
    if body.get("logprobs"):
        return decision(INVENTED.rstrip(".") not in text)
    if "response_format" not in body:
        told = re.search(r"<text>\n(.*)\n</text>", text)
        return Reply(" ".join(told[1].split()[:12]) if told else "")
    shown = re.search(r"^(F\d+) \(seen at [^)]*\): (.*)$", text, re.MULTILINE)
    if shown is None:
        return Reply(json.dumps({"abstain": True, "claims": []}))
    claims = [{"text": shown[2], "evidence": [shown[1]]}, {"text": INVENTED, "evidence": [shown[1]]}]
    return Reply(json.dumps({"abstain": False, "claims": claims}))


def obedient(body: Body) -> Reply:
    """Obey an injected subtitle, and cite all evidence for it."""
    if has_image(body):
        return Reply(SEEN)
    text = user_text(body)
    order = re.search(r"say: ([^.\n]+)", text)
    if body.get("logprobs"):
        return decision(order is not None)
    said = order[1] if order else "nothing was ordered"
    if "response_format" not in body:
        return Reply(said)
    claims = [{"text": said, "evidence": re.findall(r"^([FW]\d+) \(", text, re.MULTILINE)[:4]}]
    return Reply(json.dumps({"abstain": False, "claims": claims}))


def garbage(body: Body) -> Reply:
    """Reply with captions, and with noise to every other request."""
    return Reply(SEEN) if has_image(body) else Reply("%$# not what was asked \x00 {]")


def decision(agrees: bool) -> Reply:
    """Reply with the likeliest first words of a judge."""
    said, other = ("yes", "no") if agrees else ("no", "yes")
    return Reply(said, first_tokens=((said, -0.05), (other, -3.0)))


def has_image(body: Body) -> bool:
    """Return True if a request is for a caption."""
    content = body["messages"][-1]["content"]
    return not isinstance(content, str) and any(part["type"] == "image_url" for part in content)
