"""The kinds of world model, one file each, registered in `darlr.world.kinds.registry`."""
