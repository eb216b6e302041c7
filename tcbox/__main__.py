"""`python -m tcbox` is `tcbox`."""

from tcbox.cli.main import main

if __name__ == "__main__":
    main()
