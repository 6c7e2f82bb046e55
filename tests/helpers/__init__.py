"""What tests are built from: rows, tiny models, a whole run's world, one training."""
