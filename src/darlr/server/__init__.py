"""A trained policy behind HTTP (extra `serve`): `darlr serve`. Only `darlr.cli.serve` imports this room."""
