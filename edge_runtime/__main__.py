"""`python -m edge_runtime` and the `edge-runtime` script."""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line; see `cli.main.main`."""
    gc.disable()  # modules stay: to look through them for garbage again and again takes a tenth of the start
    from edge_runtime.cli.main import main as run  # noqa: PLC0415  (see above)
    from edge_runtime.ops.ending import run_to_the_end  # noqa: PLC0415

    gc.enable()
    run_to_the_end(run)


if __name__ == "__main__":
    main()
