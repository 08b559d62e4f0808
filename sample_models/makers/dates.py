"""A Keras 3 encoder and decoder in one file: a written date in, its ISO form out, character by character.

The encoder's last h and c are where the decoder starts, and nothing else passes between them. The decoder is given the
ISO date shifted by one character, which starts with `<start>`.
"""

import datetime
import json

import numpy as np

EMBEDDED, UNITS, LONGEST, WRITTEN_AS = 12, 40, 24, 4
EPOCHS, BATCH, SEED = 5, 128, 7
HELD_OUT, SHIPPED, EXPECTED = 4000, 12, 6
FIRST, DAYS = datetime.date(1930, 1, 1), 36525  # a hundred years, so that two digits of a year tell all four
PAD, START = "<pad>", "<start>"
MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FORMS = (
    "{day} {month} {year}",
    "{day} {mon} {year}",
    "{day} {mon} {short}",
    "{day:02}-{mon}-{year}",
    "{day}{th} of {month} {year}",
    "{month} {day}, {year}",
    "{month} {day}{th}, {year}",
    "{mon} {day} {short}",
    "{weekday} {day} {mon} {short}",
    "{weekday} {day} {month} {year}",
    "{weekday}, {month} {day}, {year}",
    "{day}.{number}.{year}",
    "{day:02}.{number:02}.{short}",
    "{number}/{day}/{year}",
    "{number:02}/{day:02}/{short}",
)


def write(date, form):
    """The date in one of `FORMS`: dots have the day first, slashes the month."""
    th = {1: "st", 2: "nd", 3: "rd"}.get(date.day % 10 if date.day // 10 != 1 else 0, "th")
    month = MONTHS[date.month - 1]
    names = {"month": month, "mon": month[:3], "weekday": WEEKDAYS[date.weekday()], "th": th}
    numbers = {"day": date.day, "number": date.month, "year": date.year, "short": f"{date.year % 100:02}"}
    return form.format(**names, **numbers)


def vocabulary(texts, *special):
    """`{token: id}`: the special tokens, then the characters of the texts in their order."""
    return {token: i for i, token in enumerate([*special, *sorted(set("".join(texts)))])}


def examples():
    """`(training, held out)`: pairs of a written and an ISO date. No day of one is in the other."""
    random = np.random.RandomState(SEED)
    dates = [FIRST + datetime.timedelta(days=int(day)) for day in random.permutation(DAYS)]

    def pairs(dates, times):
        chosen = [(date, FORMS[form]) for date in dates for form in random.choice(len(FORMS), times, replace=False)]
        return [(write(date, form), date.isoformat()) for date, form in chosen]

    return pairs(dates[HELD_OUT:], WRITTEN_AS), pairs(dates[:HELD_OUT], 1)


def data(pairs, written, iso):
    """`(written ids [dates, LONGEST], iso ids [dates, 10], target ids [dates, 10])`; written id 0 is padding."""
    ids = np.zeros((len(pairs), LONGEST), np.int32)
    for row, (text, _) in enumerate(pairs):
        ids[row, : len(text)] = [written[char] for char in text]
    target = np.array([[iso[char] for char in text] for _, text in pairs], np.int32)
    return ids, np.pad(target, ((0, 0), (1, 0)), constant_values=iso[START])[:, :-1], target


def build(keras, written, iso):
    """The model, uncompiled, for vocabularies of these sizes."""
    layers = keras.layers
    source = layers.Input((LONGEST,), dtype="int32", name="written")
    shifted = layers.Input((10,), dtype="int32", name="iso")
    read = layers.Embedding(written, EMBEDDED, mask_zero=True, name="written_characters")(source)
    _, h, c = layers.LSTM(UNITS, return_state=True, name="encoder")(read)
    given = layers.Embedding(iso, EMBEDDED, name="iso_characters")(shifted)
    states = layers.LSTM(UNITS, return_sequences=True, name="decoder")(given, initial_state=[h, c])
    output = layers.TimeDistributed(layers.Dense(iso, activation="softmax"), name="characters")(states)
    return keras.Model([source, shifted], output, name="dates")


def decode(model, ids, start):
    """The ISO dates that the model writes by itself, each character after those that it chose: ids `[dates, 10]`."""
    shifted = np.full((len(ids), 11), start, np.int32)
    for step in range(10):
        output = model.predict({"written": ids, "iso": shifted[:, :10]}, 1024, verbose=0)
        shifted[:, step + 1] = output[:, step].argmax(-1)
    return shifted[:, 1:]


def states(keras, layer, embedded, mask=None, initial=None):
    """h and c after each step, `[dates, time, units]`, from `initial` or zeros, computed by the layer's twin.

    A layer returns c only at its end, hence a run for each step over the steps up to it. Where `mask` is False, both
    are held.
    """
    config = {**layer.get_config(), "return_sequences": False, "return_state": True, "name": layer.name + "_twin"}
    twin = keras.layers.LSTM.from_config(config)
    twin.build((None, None, embedded.shape[2]))
    twin.set_weights(layer.get_weights())
    runs = []
    for stop in range(1, embedded.shape[1] + 1):
        valid = None if mask is None else mask[:, :stop]
        runs.append(twin(keras.ops.convert_to_tensor(embedded[:, :stop]), mask=valid, initial_state=initial))
    return tuple(np.stack([np.asarray(run[state]) for run in runs], 1) for state in (1, 2))


def expected(keras, model, ids, shifted):
    """What Keras computes for a few dates: a dictionary for `np.savez`."""
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    tables = [model.get_layer(name).get_weights()[0] for name in ("written_characters", "iso_characters")]
    read = states(keras, encoder, tables[0][ids], mask=ids != 0)
    passed = [state[:, -1] for state in read]
    wrote = states(keras, decoder, tables[1][shifted], initial=[keras.ops.convert_to_tensor(x) for x in passed])
    found = {"written": ids, "iso": shifted}
    for layer, signals in ((encoder, read), (decoder, wrote)):
        for signal, values in zip("hc", signals, strict=True):
            found.update({f"{signal}/{layer.name}": values, f"final_{signal}/{layer.name}": values[:, -1]})
    whole = keras.Model(model.inputs, [*encoder.output[1:], decoder.output, model.output])
    *own, output = whole.predict({"written": ids, "iso": shifted}, verbose=0)
    for one, other in zip(own, (*passed, wrote[0]), strict=True):
        assert np.allclose(one, other, rtol=0, atol=1e-5), "the stepwise run is not the model's own"
    return {**found, "output/characters": output}


def make(folder):
    """Trains, and writes `dates.keras`, both vocabularies, held-out dates, and what Keras computes for some of them."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(SEED)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    training, held_out = examples()
    written = vocabulary([text for text, _ in training], PAD)
    iso = vocabulary([text for _, text in training], PAD, START)
    (ids, shifted, target), (held_ids, held_shifted, held_target) = (
        data(pairs, written, iso) for pairs in (training, held_out)
    )
    model = build(keras, len(written), len(iso))
    trainer = keras.Model(model.inputs, model.output)  # the same layers; `model` remains without an optimiser
    rate = keras.optimizers.schedules.CosineDecay(1e-2, EPOCHS * -(-len(ids) // BATCH))
    trainer.compile(keras.optimizers.Adam(rate, clipnorm=1.0), "sparse_categorical_crossentropy")
    trainer.fit({"written": ids, "iso": shifted}, target, BATCH, EPOCHS, verbose=2)
    held = model.predict({"written": held_ids, "iso": held_shifted}, 1024, verbose=0).argmax(-1) == held_target
    own = (decode(model, held_ids, iso[START]) == held_target).all(1)
    print(f"held out: {held.mean():.4f} of the characters after the right ones, {own.mean():.4f} of {own.size} dates")
    model.save(f"{folder}/dates.keras")
    for name, tokens in (("written", written), ("iso", iso)):
        with open(f"{folder}/dates.{name}.vocab.json", "w") as file:
            json.dump(tokens, file, indent=0)
            file.write("\n")
    np.savez(f"{folder}/dates.npz", written=held_ids[:SHIPPED], iso=held_shifted[:SHIPPED])
    found = expected(keras, model, held_ids[:EXPECTED], held_shifted[:EXPECTED])
    np.savez(f"{folder}/dates.expected.npz", **found)
