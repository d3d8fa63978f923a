"""Lightning's Trainer with this project's defaults, strategies and callbacks."""
