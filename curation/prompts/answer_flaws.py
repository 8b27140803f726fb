"""Answers that say nothing of what was asked: refusals, words for nothing, and loops. Pure.

A caption or a summary with such a flaw is not stored. Written by hand: finders of refusals are either models of their
own or lists like this one.
"""

from __future__ import annotations

from typing import Final, Literal

import regex

from curation.prompts.wording import split_sentences

Flaw = Literal["empty", "refusal", "loop"]

_NOTHING: Final = regex.compile(
    r"""
    none|null|nil|nan|n/?a|not\ (?:applicable|available|visible)|undefined|unknown|nothing|empty|blank|unclear
    |no\ (?:caption|description|answer|summary|text|content|image|information|speech|data)
        (?:\ (?:available|provided|found))?
    |无|無|没有|なし|ない|없음|keine?s?|nichts|ninguno|nada|aucune?|rien|nessuno|niente|нет|ничего
    """,
    regex.VERBOSE | regex.IGNORECASE,
)
_NOT_ABLE: Final = r"""
    (?:can\s?not|can['’]?t|could\ not|couldn['’]?t|won['’]?t|don['’]?t|(?:am|['’]m)\ (?:not\ able|unable)\ to)
"""
_TASKS: Final = r"""
    (?:assist|help|describe|see|view|identify|recogni[sz]e|provide|fulfil+|comply|continue|generate|create|process|access
    |analy[sz]e|determine|discern|do\ (?:that|this)|have|answer|summari[sz]e|make\ out|tell|open|display|perceive|engage
    |discuss|offer|support|complete|caption|write)
"""
_REFUSAL: Final = regex.compile(
    rf"""(?:[^\w"'“”«»「『‘]|(?:hmm?|well|unfortunately|but|however|as\ requested)\b)*+(?:
    i(?:\ am|['’]m)\ (?:(?:very|so|really|truly)\ )?(?:sorry|afraid\ (?:that\ )?i\b|unable|not\ able)
    |(?:(?:very|so)\ )?sorry\b[\s,.!:;–—-]+
        (?:but\b|i\b|(?:this|that|the)\ (?:image|picture|content|request)|as\ an?\ (?:ai|language)\b|unable)
    |(?:my\ |please\ accept\ my\ )?apologi[sz]e?s?\b
    |i\ (?:do\ |must\ |sincerely\ |deeply\ )*(?:apologi[sz]e|decline|refuse|regret)
    |(?:as|being)\ an?\ (?:\w+[\ -]){{0,2}}(?:ai|artificial\ intelligence|language\ model|assistant|vision\ model)\b
    |i(?:\ am|['’]m)\ (?:just\ |only\ )?an?\ (?:\w+[\ -]){{0,2}}(?:ai|language\ model|assistant)\b
    |i\ ?{_NOT_ABLE}\ (?:\w+\ ){{0,3}}?{_TASKS}
    |(?:it\ (?:seems|looks\ like|appears)\ (?:that\ )?)?(?:there\ (?:is|was|seems\ to\ be)\ )?
        no\ (?:image|picture|text|photo|attachment|file)s?\ (?:was\ |were\ |is\ |has\ been\ )?
        (?:provided|attached|uploaded|included|given|to\ (?:describe|summari[sz]e))
    |you\ (?:have\ not|haven['’]?t|did\ not|didn['’]?t)\ (?:provided?|uploaded?|attach(?:ed)?|shared?|included?)
    |(?:could|can)\ you\ (?:please\ )?(?:provide|upload|share|clarify|give)
    |please\ (?:provide|upload|share|attach|send|try|rephrase|let\ me\ know|note\ that\ i)
    |(?:this|the|your)\ (?:request|content|image|prompt)\ (?:violates|goes\ against|may\ violate|is\ against)
    |unable\ to\ (?:assist|help|describe|process|provide|generate|comply)
    |(?:很|非常|十分)?(?:抱歉|对不起|對不起|遗憾|遺憾)
    |(?:作为|作為|我是)(?:一[个個名款])?(?:AI|人工智[能慧]|(?:大型)?[语語]言模型)
    |我?(?:无法|無法|不能|没办法|沒辦法)(?:[为為]您|为你)?
        (?:提供|[协協]助|[帮幫]助|描述|[识識][别別]|看到|查看|回答|[处處]理|[满滿]足)
    |(?:大変|誠に)?(?:申し訳|すみませんが|恐れ入りますが|ごめんなさい)
    |(?:죄송|미안)
    |lo\ (?:siento|lamento)\b|lamento\b|no\ puedo\ (?:\w+\ )?(?:ayudar|asistir|describir|identificar|proporcionar|ver)
    |(?:je\ suis\ )?(?:désolée?|navrée?)\b|je\ (?:ne\ )?(?:peux|suis|puis)\ (?:pas|malheureusement)
    |(?:es\ )?tut\ mir\ (?:sehr\ )?leid|entschuldigung\b|ich\ (?:kann|bin)\ (?:\w+\ ){{0,6}}?nicht
    |desculpe\b|sinto\ muito|(?:eu\ )?não\ posso\ (?:\w+\ )?(?:ajudar|descrever|identificar|fornecer|ver)
    |mi\ (?:di)?spiace|non\ posso\ (?:\w+\ )?(?:aiutare|descrivere|identificare|fornire|vedere)
    |(?:извините|простите|прошу\ прощения|к\ сожалению,?\ я)|я\ не\ (?:могу|вижу)
    |(?:عذر[اًا]+|آسف|أعتذر|لا\ (?:أستطيع|يمكنني))
    |maaf|saya\ tidak\ (?:dapat|bisa)|xin\ lỗi|tôi\ không\ thể|üzgünüm|özür\ dilerim|क्षमा|माफ़
    )""",
    regex.VERBOSE | regex.IGNORECASE,
)
_SMALL_TALK: Final = regex.compile(
    r"""\W*(?:let\ me\ know\b|feel\ free\ to\b|is\ there\ anything\ else|i\ hope\ (?:this|that)\ helps|
    if\ you\ (?:have|need|would\ like|want|can\ provide)\b.*|would\ you\ like\ me\ to\b|
    do\ you\ (?:have|want|need)\ (?:any|me)\b|how\ can\ i\ (?:help|assist))""",
    regex.VERBOSE | regex.IGNORECASE,
)

# Units of text that may repeat: words, characters of scripts without spaces, and the letters of endless words.
_DENSE: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=SA}"
_UNIT: Final = regex.compile(rf"[{_DENSE}]\p{{M}}*|[^\W{_DENSE}]+")
_LONGEST_WORD: Final = 40
_MOST_UNITS: Final = 600
_COPIES: Final = 3
_LEAST_UNITS: Final = 6
_PURE: Final = 0.6
_VARIED_UNITS: Final = 24
_LEAST_DISTINCT: Final = 0.35


def flaw_of(text: str) -> Flaw | None:
    """Return the flaw of an answer on one line, as `curation.prompts.wording.tidy` returns it; None if it has none."""
    bare = regex.sub(r"^[\W_]+|[\W_]+$", "", text)
    if not regex.search(r"\p{L}", bare) or _NOTHING.fullmatch(bare):
        return "empty"
    if _REFUSAL.match(text):
        return "refusal"
    return "loop" if _is_loop(bare) else None


def sound_part(text: str) -> str:
    """Return an answer without sentences that it repeats, loops, late refusals, and ``Let me know if …``."""
    kept: dict[str, str] = {}
    for sentence in split_sentences(text):
        if not (_SMALL_TALK.match(sentence) or flaw_of(sentence) in ("refusal", "loop")):
            kept.setdefault(sentence.casefold().strip(), sentence)
    return "".join(kept.values()).strip()


def _is_loop(text: str) -> bool:
    """Return True if most of a text is one sequence of words over and over, or if hardly any of it is new."""
    units = _units(text)
    if _longest_loop(units) >= _PURE * len(units):
        return True
    triples = list(zip(units, units[1:], units[2:], strict=False))
    return len(units) >= _VARIED_UNITS and len(set(triples)) < _LEAST_DISTINCT * len(triples)


def _units(text: str) -> list[str]:
    units: list[str] = []
    for unit in _UNIT.findall(text.casefold()):
        units += unit if len(unit) > _LONGEST_WORD else [unit]
    return units[:_MOST_UNITS]


def _longest_loop(units: list[str]) -> int:
    """Return the units covered by the longest run of at least three copies of one sequence; 0 without one."""
    longest = 0
    for period in range(1, len(units) // _COPIES + 1):
        same = 0
        for unit, before in zip(units[period:], units, strict=False):
            same = same + 1 if unit == before else 0
            length = same + period
            if length >= max(_COPIES * period, _LEAST_UNITS):
                longest = max(longest, length)
    return longest
