"""What the demo in a browser and the server are made of."""
