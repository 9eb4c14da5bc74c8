"""The page at `/`: a person plays the user, compares the arms, and looks at the run. Nothing of it is logged."""
