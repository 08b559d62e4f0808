"""Makes the sample models: `generate.py [NAME …]`, each in the release of its framework that users' files come from.

For each model it creates an environment under `--work` with an interpreter found as `python3.7` or `python3.11` (or
said with `--python37`, `--python311`), installs the packages pinned below, and runs itself there. `--here` leaves that
out and makes the model with whatever runs this script: the character LSTM can be made through `tf.compat.v1` of
TensorFlow 2 too.

Data, initial weights and order are fixed by seeds, and one thread runs it all; the last bits of a float32 sum can still
differ from run to run, and training magnifies that. All five take about 38 minutes on one core.
"""

import argparse
import importlib
import os
import subprocess

FOLDER = os.path.dirname(os.path.abspath(__file__))
OLD = ["tensorflow==1.15.0", "numpy==1.18.5", "h5py==2.10.0", "protobuf==3.20.3"]
# Name: (the Python that made the sample, the packages). 3.7.16 is also where the source text comes from.
MODELS = {
    "char_lstm": ("python37", OLD),
    "bilstm_source": ("python37", [*OLD, "keras==2.2.4"]),
    "window_lstm": ("python37", OLD),
    "gru_digits": ("python311", ["tensorflow==2.21.0", "keras==3.15.1", "scikit-learn==1.9.1"]),
    "dates": ("python311", ["tensorflow==2.21.0", "keras==3.15.1"]),
}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def in_environment(name, python, packages, work, folder):
    """Makes the model `name` in an environment of its own."""
    environment = os.path.join(work, name)
    interpreter = os.path.join(environment, "bin", "python")
    if not os.path.exists(interpreter):
        subprocess.run([python, "-m", "venv", environment], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *packages], check=True)
    command = [interpreter, os.path.abspath(__file__), name, "--here", "--into", folder]
    subprocess.run(command, check=True, env={**os.environ, **QUIET})


def main():
    """Reads the command line and makes what it names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of {}; without one, all".format(", ".join(MODELS)))
    parser.add_argument("--here", action="store_true", help="with this interpreter and its packages")
    parser.add_argument("--into", default=FOLDER, help="where to write (default: beside this script)")
    parser.add_argument("--work", default="environments", help="where the environments go (default: %(default)s)")
    for name, default in (("--python37", "python3.7"), ("--python311", "python3.11")):
        parser.add_argument(name, default=default, help="default: %(default)s")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(MODELS))
    if unknown:
        parser.error("no model {}; there are {}".format(", ".join(unknown), ", ".join(MODELS)))
    into = os.path.abspath(options.into)
    for name in options.names or MODELS:
        if options.here:
            importlib.import_module("makers." + name).make(into)
        else:
            python, packages = MODELS[name]
            in_environment(name, getattr(options, python), packages, os.path.abspath(options.work), into)


if __name__ == "__main__":
    main()
