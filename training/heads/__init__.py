"""The last layers of a network, solved rather than fitted, on what the layers before them find."""
