"""When a growing network grows: at each resolution a fade-in, then a time to stabilise (ProGAN, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

GROWING_SHARE = 0.6  # of a run, where no lengths are given; the rest is spent fully grown


@dataclass(frozen=True)
class Phase:
    """What the networks and the batch are at one moment."""

    stage: int
    """0 is 4×4, 1 is 8×8, …"""
    alpha: float
    """How far the stage is faded in, 0 to 1."""
    batch: int
    """Pictures per step."""
    end: int | None
    """Pictures seen when the phase ends; None for the last, which has no end."""
    name: str
    """As in the name of its sample sheet: `016x016-faded` is the end of a fade-in, `016x016-tuned` of what follows."""


@dataclass(frozen=True)
class Schedule:
    """The phases of a run. A network of one stage has one endless phase."""

    num_stages: int
    batch: int
    fade_images: int = 0
    tune_images: int = 0
    batches: tuple[int, ...] = ()
    """Batch of each stage; the last number holds for the stages after it."""

    @classmethod
    def of(
        cls,
        num_stages: int,
        *,
        batch: int,
        kimg: float,
        fade_kimg: float | None,
        tune_kimg: float | None,
        batches: tuple[int, ...] = (),
    ) -> Schedule:
        """Return the schedule of a run of `kimg`. Lengths that are None share 60 % of the run equally between all
        phases but the last."""
        phases = max(1, 2 * (num_stages - 1))
        equal = kimg * GROWING_SHARE / phases
        fade, tune = (equal if length is None else length for length in (fade_kimg, tune_kimg))
        return cls(num_stages, batch, round(fade * 1000), round(tune * 1000), batches)

    def at(self, images_seen: int) -> Phase:
        """Return the phase after so many real pictures."""
        if self.num_stages == 1:
            return Phase(0, 1.0, self.batch, None, "")
        end = self.tune_images
        for stage in range(self.num_stages - 1):
            if images_seen < end:
                return self._phase(stage, 1.0, end)
            start, end = end, end + self.fade_images
            if images_seen < end:
                return self._phase(stage + 1, (images_seen - start) / self.fade_images, end, faded=True)
            end += self.tune_images
        return self._phase(self.num_stages - 1, 1.0, None)

    def _phase(self, stage: int, alpha: float, end: int | None, *, faded: bool = False) -> Phase:
        side = 4 << stage
        batch = self.batches[min(stage, len(self.batches) - 1)] if self.batches else self.batch
        return Phase(stage, alpha, batch, end, f"{side:03d}x{side:03d}-{'faded' if faded else 'tuned'}")
