"""``python -m peerview_share`` serves; ``python -m peerview_share migrate`` makes the tables."""

import sys

from peerview_share.main import main, migrate

match sys.argv[1:]:
    case []:
        main()
    case ["migrate"]:
        migrate()
    case _:
        sys.exit("usage: python -m peerview_share [migrate]")
