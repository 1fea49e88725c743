"""`python -m micro.cli`."""

from micro.cli.main import main

main()
