import pytest

keras = pytest.importorskip("keras", reason="needs the extra training")

from keras import layers  # noqa: E402

from training.cost import macs  # noqa: E402


def test_multiplications_of_known_layers() -> None:
    x = keras.Input((10, 8))
    convolved = layers.Conv1D(4, 3, padding="same")(x)
    assert macs(keras.Model(x, convolved)) == 10 * 3 * 8 * 4
    remembered = layers.LSTM(5, return_sequences=True)(convolved)
    assert macs(keras.Model(convolved, remembered)) == 10 * 4 * 5 * (4 + 5)
    assert macs(keras.Model(remembered, layers.Dense(2)(remembered))) == 10 * 5 * 2
    image = keras.Input((8, 6, 3))
    strided = layers.Conv2D(7, 3, strides=2, padding="same")(image)
    assert macs(keras.Model(image, strided)) == 4 * 3 * 9 * 3 * 7
    depthwise = layers.DepthwiseConv2D(3, padding="same")(image)
    assert macs(keras.Model(image, depthwise)) == 8 * 6 * 9 * 3


def test_a_network_in_a_network_counts() -> None:
    x = keras.Input((4,))
    inner = keras.Model(x, layers.Dense(3)(x))
    y = keras.Input((4,))
    assert macs(keras.Model(y, layers.Dense(2)(inner(y)))) == 4 * 3 + 3 * 2
