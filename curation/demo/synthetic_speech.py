"""Synthetic speech for the demo and for tests: espeak-ng from a wheel, called in this process.

espeak-ng has one state for the whole process, so one text is spoken at a time.
"""

from __future__ import annotations

import ctypes
import functools
import threading
import wave
from pathlib import Path
from typing import Any, Final

from runtime.errors import MachineError, UserError

_RETRIEVAL: Final = 1  # AUDIO_OUTPUT_RETRIEVAL: samples go to the callback, espeak_Synth returns after the last one
_INITIALIZE_DONT_EXIT: Final = 0x8000
_RATE: Final = 1  # espeakRATE, words per minute
_CHARS_UTF8: Final = 1
_POS_CHARACTER: Final = 1
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_lock = threading.Lock()


def speak(text: str, path: Path, *, words_per_minute: int = 150, voice: str = "en-us") -> None:
    """Speak `text` into a WAV file: 16-bit mono, 22,050 Hz.

    Args:
        text: the words; a short pause follows each sentence.
        path: the file to write.
        words_per_minute: 80 to 450.
        voice: a language of espeak-ng: ``en-us``, ``de``, ``es`` …

    Raises:
        UserError: the package ``espeakng-loader`` is not installed, or there is no such voice.
    """
    with _lock:
        library, rate = _espeak()
        samples = bytearray()
        collect = _Callback(lambda data, count, _events: _take(samples, data, count))
        library.espeak_SetSynthCallback(collect)
        if library.espeak_SetVoiceByName(voice.encode()):
            raise UserError(f"voice {voice!r}: espeak-ng has no such voice; try 'en-us'")
        library.espeak_SetParameter(_RATE, words_per_minute, 0)
        data = text.encode() + b"\0"
        if library.espeak_Synth(data, len(data), 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None):
            raise MachineError("espeak-ng could not speak")
        library.espeak_Synchronize()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)


def _take(samples: bytearray, data: Any, count: int) -> int:
    if data and count > 0:
        samples += ctypes.string_at(data, 2 * count)
    return 0


@functools.cache
def _espeak() -> tuple[ctypes.CDLL, int]:
    """Return the library, initialised, and its sampling rate in Hz."""
    try:
        import espeakng_loader
    except ImportError:
        raise UserError("espeakng-loader: not installed; `pip install espeakng-loader==0.2.4` brings it") from None
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = str(espeakng_loader.get_data_path()).encode()
    library.espeak_Synth.argtypes = [
        *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
        *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
    ]
    rate = library.espeak_Initialize(_RETRIEVAL, 0, data, _INITIALIZE_DONT_EXIT)
    if rate <= 0:
        raise MachineError(f"espeak-ng can't start with the data in {data.decode()}")
    return library, rate
