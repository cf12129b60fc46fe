"""Networks, one a file, in backend-neutral Keras 3. Each has `build(…) -> keras.Model`."""
