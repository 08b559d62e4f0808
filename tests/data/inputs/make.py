"""Made the files beside it, with the libraries themselves. Run `python make.py` (tf_keras) and `python2.7 make.py`."""

import collections
import os
import pickle
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def write(name, data):
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(data)


def python2():
    """What Python 2 scripts of the time pickled: `str` tokens, at the protocols that were common."""
    counter = collections.Counter("hello, w\xc3\xb6rld\n")
    chars = sorted(counter)
    vocab = dict(zip(chars, range(len(chars))))
    write("py2_str.pkl", pickle.dumps((tuple(chars), vocab)))
    words = [word.decode("utf-8") for word in (b"hello", b"w\xc3\xb6rld", b"\n")]
    ordered = collections.OrderedDict((word, number) for number, word in enumerate(words))
    write("py2_ordered.pkl", pickle.dumps(ordered, 2))
    default = collections.defaultdict(int)
    default.update(ordered)
    write("py2_default.pkl", pickle.dumps({"word2idx": default, "idx2word": dict(enumerate(words))}, 2))


def keras():
    """A tokenizer as Keras users keep it."""
    from tf_keras.preprocessing.text import Tokenizer

    tokenizer = Tokenizer(num_words=5, oov_token="<OOV>")
    tokenizer.fit_on_texts(["the cat sat on the mat", "the dog sat"])
    write("keras_tokenizer.json", tokenizer.to_json().encode())
    write("keras_tokenizer.pickle", pickle.dumps(tokenizer, protocol=pickle.HIGHEST_PROTOCOL))
    write("py3_bytes_protocol2.pkl", pickle.dumps([b"a", b"\xc3\xb6", "\n"], 2))


python2() if sys.version_info[0] == 2 else keras()
