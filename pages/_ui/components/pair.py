"""Two pictures and one choice between them: by click, by touch, by arrow keys; for quizzes and face-offs."""

from collections.abc import Callable
from typing import Any, Literal

from pages._ui.components.mount import data_url, declare, mount, tag

_component = declare("pair")


def picture_pair(
    both: bytes,
    *,
    key: str,
    ask: str,
    round: int,
    rounds: int,
    on_answer: Callable[[int, str, float], None],
    seconds: float = 0.0,
    neither: bool = False,
    told: tuple[int, Literal["left", "right"]] | None = None,
) -> None:
    """Show the halves of one picture file, `both`, twice as wide as high, and ask for one of them.

    `on_answer(round, side, seconds)` is called with `left`, `right` or, where `neither` is allowed, `neither`, before
    the next run of the surrounding fragment. Pictures are covered after `seconds`, 0 never. `told` is a round that was
    answered and the side that was real: it is marked for a moment before the next pair is shown."""

    def answered(message: dict[str, Any]) -> None:
        if message["side"] in ("left", "right") or (neither and message["side"] == "neither"):
            on_answer(message["round"], message["side"], float(message["seconds"]))

    data = {
        "src": data_url(both), "tag": f"{round}-{tag(both)}", "ask": ask, "round": round, "rounds": rounds,
        "seconds": seconds, "neither": neither, "told": told and {"round": told[0], "right": told[1]},
    }  # fmt: skip
    mount(_component, key=key, data=data, hears={"answer": ({"round": int, "side": str, "seconds": float}, answered)})
