"""Where temporaries lie, where threads meet, and what is fetched ahead."""
