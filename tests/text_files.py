"""Small texts and runs on them that several tests start from."""

import random
from pathlib import Path
from typing import Any

from micro.config import Config, parse_config

SIZES: dict[str, Any] = {"sizes": [24], "epochs": 4, "batch_size": 32, "learning_rate": 0.01}
# Letters and what they become: one token, two, none, and one that depends on the letter behind.
BECOMES = {"a": "AH", "e": "EH", "b": "B", "x": "K S", "h": ""}


def write_text(folder: Path) -> None:
    """A text of few words with a character beyond ASCII."""
    rng = random.Random(0)
    words = ["the", "café", "cat", "sat", "on", "mat"]
    (folder / "words.txt").write_text(" ".join(rng.choice(words) for _ in range(900)), encoding="utf-8")


def write_sounds(folder: Path) -> None:
    """Words and their sounds: c is S before e and K elsewhere."""
    rng = random.Random(0)
    lines = []
    for word in {"".join(rng.choices("aebcxh", k=rng.randint(3, 6))) for _ in range(400)}:
        sounds = [
            ("S" if word[place + 1 : place + 2] == "e" else "K") if letter == "c" else BECOMES[letter]
            for place, letter in enumerate(word)
        ]
        if any(sounds):
            lines.append(f"{word}\t{' '.join(filter(None, sounds))}\n")
    (folder / "sounds.tsv").write_text("".join(sorted(lines)), encoding="utf-8")


def text_config(folder: Path, **changes: Any) -> Config:
    """A run on `words.txt` in a few seconds; its teacher sees more than its student."""
    raw = {
        "job": "text",
        "seeds": 1,
        "data": {"files": "words.txt", "context": 5, "lowercase": True},
        "teacher": {**SIZES, "context": 8},
        "distill": {"compare": False},
    }
    return parse_config({**raw, "student": SIZES, "firmware": {"name": "keys"}, **changes}, folder)


def sounds_config(folder: Path, **changes: Any) -> Config:
    """A run on `sounds.tsv` in a few seconds, with unlabeled sources."""
    (folder / "more.txt").write_text("abcxe\nhexa\ncecaéb\n", encoding="utf-8")
    data = {"form": "pairs", "files": "sounds.tsv", "before": 1, "after": 2, "unlabeled_files": "more.txt"}
    raw = {
        "job": "text",
        "seeds": 1,
        "data": data,
        "teacher": {**SIZES, "after": 3},
        "distill": {"level": "both", "compare": False},
    }
    student = {**SIZES, "embedding": 6}
    return parse_config({**raw, "student": student, "firmware": {"name": "sounds"}, **changes}, folder)
