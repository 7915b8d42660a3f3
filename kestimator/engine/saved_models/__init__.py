"""SavedModels: written from programs, and put into programs."""
