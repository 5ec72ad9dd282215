"""`python -m flowbatch` is the `flowbatch` command."""

from flowbatch.cli import main

main()
