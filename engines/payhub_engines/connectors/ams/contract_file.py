"""The AMS contract's OpenAPI description, which is part of the package."""

from importlib.resources import files


def read() -> str:
    """Return the text of ams-contract.yaml."""
    return files(__package__).joinpath("ams-contract.yaml").read_text(encoding="utf-8")
