"""The Python interface: what `import darlr` gives, without the command line."""
