"""What this machine has and can do, for `experiments.doctor`. Nothing is sent anywhere, and neither torch nor a model is loaded."""
