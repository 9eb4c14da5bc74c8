"""Pictures of tables and of training."""
