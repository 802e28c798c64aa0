"""Entry point of `edge-convert`."""

from __future__ import annotations

from edge_convert.cli import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
