"""What checks share that run programs in the sandbox."""

from __future__ import annotations

from synthgain.sandbox import shared


class Boxed:
    """A row check that waits for programs in the sandbox of this process."""

    @property
    def waits(self) -> bool:
        return True

    def ready(self) -> None:
        """SynthgainError where this machine allows no sandbox."""
        shared().ready()

    def close(self) -> None:
        """The workers end; programs under way are waited for by whoever runs them."""
        shared().close()

    def stop(self) -> None:
        """Programs under way end at once."""
        shared().stop()
