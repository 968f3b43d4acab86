"""What `peerview send` is made of: files as numbered lines, parts of an upload, and going on."""
