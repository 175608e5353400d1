"""``python -m v2g_feeder``: the command line."""

from v2g_feeder.cli.main import main

if __name__ == "__main__":
    main()
