"""Where machines come from: what a provider must do, those that there are, and the ones of this instance."""
