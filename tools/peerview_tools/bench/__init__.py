"""What Peerview costs, measured: `peerview bench`. One module a measure; `registry` names them."""
