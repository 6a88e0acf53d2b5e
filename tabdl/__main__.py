"""`python -m tabdl` is the `tabdl` command."""

from tabdl.cli import main

main()
