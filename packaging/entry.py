"""Where the one-file program begins."""

from tcbox.cli.main import main

main()
