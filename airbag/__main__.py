"""`python -m airbag`."""

from airbag.cli import main

main()
