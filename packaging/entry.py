"""Where the one-file program begins: as a helper when it is told so, else as the command line."""

import sys

if sys.argv[1:] and sys.argv[1].startswith("--worker-helper="):
    from tcbox.workers import helpers

    helpers.main(sys.argv[1:])
elif sys.argv[1:2] == ["--sandbox"]:
    from tcbox.sandbox import child

    child.main(sys.argv[2:])
else:
    from tcbox.cli.main import main

    main()
