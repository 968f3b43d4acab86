"""``python -m peerview_share``"""

from peerview_share.main import main

main()
