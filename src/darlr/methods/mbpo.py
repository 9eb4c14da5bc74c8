"""MBPO: the world model's mean reward r0, and nothing else (Janner et al. 2019; the base of all methods here)."""

from darlr.methods.registry import Method

MBPO = Method("mbpo", "MBPO")
