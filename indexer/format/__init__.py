"""What an index is on disk: segment files, the manifest that names them, the folder and its lock. Builds nothing."""
