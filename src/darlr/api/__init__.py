"""The face of the library: what `import darlr` gives, without the command line."""
