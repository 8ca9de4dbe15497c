"""Writers of animations that make mistakes, as `verify` must find them."""


def faulty(kind, fault):
    """A writer that loses the loop or a frame, or shows a frame for 20 ms more."""

    class Faulty(kind):
        def __init__(self, shape, loop, *rest, **options):
            super().__init__(shape, loop + (fault == "loop"), *rest, **options)
            self.n_calls = 0

        def write(self, data, duration, *rest):
            self.n_calls += 1
            if self.n_calls == 3:
                if fault == "frame":
                    return
                duration += 20 * (fault == "duration")
            super().write(data, duration, *rest)

    return Faulty
