"""One comparison of what is kept with what was found."""


def same(wrong: list[str], what: str, kept: object, found: object) -> None:
    """Note it in `wrong` where they differ."""
    if kept != found:
        wrong.append(f"{what}: kept {kept}, found {found}")
