"""What a lease saves: messages read where they lie, beside messages that were copied out first."""
