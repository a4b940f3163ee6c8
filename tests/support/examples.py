"""How many examples a property is tried on."""

from hypothesis import settings

# Ten times as many, for the weekly run: `pytest --hypothesis-profile=thorough`. The default profile tries a hundred.
settings.register_profile("thorough", max_examples=1000)


def examples(number: int) -> settings:
    """A decorator: this many examples in the default profile, in proportion in others; no deadline, since cores are shared."""
    return settings(max_examples=max(1, number * settings().max_examples // 100), deadline=None)
