"""Files and folders: they are written whole or not at all, and errors about reading them name what is damaged."""
