"""Making a trained student smaller."""
