"""How frameworks lay out a cell's weights: the tables that the families share (cells.md, sections 1, 3 and 9)."""

from __future__ import annotations

from rnnprobe.types import Part, Weight


def stacked(role: str, names: tuple[str, ...], gates: tuple[str, ...], output: str = "units") -> Weight:
    """TensorFlow 1's one matrix: the input's rows first, those of h below; `output` is the formula of h's width."""
    return Weight(
        role,
        names,
        (f"input_size + {output}", columns(gates)),
        (Part("kernel", "input_size", gates), Part("recurrent_kernel", output, gates)),
    )


def bias(role: str, names: tuple[str, ...], gates: tuple[str, ...], *, optional: bool = False) -> Weight:
    """One bias, the gates side by side."""
    return Weight(role, names, (columns(gates),), (Part("bias", columns(gates), gates),), optional)


def peepholes(gates: str) -> tuple[Weight, ...]:
    """The diagonals through which gates look at c."""
    return tuple(
        Weight(
            f"peephole_{gate}",
            (f"w_{gate}_diag", f"W_{gate.upper()}_diag"),
            ("units",),
            (Part("peephole", "units", (gate,)),),
            optional=True,
        )
        for gate in gates
    )


def projection(*names: str) -> Weight:
    """The matrix that makes h narrower; `names` where they are not LSTMCell's."""
    return Weight(
        "projection",
        names or ("projection/kernel", "projection/weights", "W_P_0"),
        ("units", "output_size"),
        (Part("projection", "units"),),
        optional=True,
    )


def norms(gates: tuple[str, ...]) -> tuple[Weight, ...]:
    """The gains and shifts of contrib's norms, of each gate and of c, by contrib's words for the gates."""
    words = {"i": "input", "g": "transform", "f": "forget", "o": "output"}
    return tuple(
        weight
        for name in ("gamma", "beta")
        for weight in (
            *(
                Weight(f"{name}_{gate}", (f"{words[gate]}/{name}",), ("units",), (Part(name, "units", (gate,)),))
                for gate in gates
            ),
            Weight(f"state_{name}", (f"state/{name}",), ("units",), (Part(f"state_{name}", "units"),)),
        )
    )


def kernels(gates: tuple[str, ...], *, cudnn: bool = False) -> tuple[Weight, Weight]:
    """Keras's two matrices; `cudnn`: each gate's block as cuDNN wants it."""
    kernel = Part("kernel", "input_size", gates, cudnn)
    recurrent = Part("recurrent_kernel", "units", gates, cudnn)
    return (
        Weight("kernel", ("kernel",) if cudnn else ("kernel", "W"), ("input_size", columns(gates)), (kernel,)),
        Weight(
            "recurrent_kernel",
            ("recurrent_kernel",) if cudnn else ("recurrent_kernel", "U"),
            ("units", columns(gates)),
            (recurrent,),
        ),
    )


def separate(gates: tuple[str, ...], letters: str) -> tuple[Weight, ...]:
    """Keras 1's arrays, three a gate; `letters` are its own for the gates."""
    return tuple(
        weight
        for gate, letter in zip(gates, letters, strict=True)
        for weight in (
            Weight(
                f"kernel_{gate}",
                (f"W_{letter}",),
                ("input_size", "units"),
                (Part("kernel", "input_size", (gate,)),),
            ),
            Weight(
                f"recurrent_kernel_{gate}",
                (f"U_{letter}",),
                ("units", "units"),
                (Part("recurrent_kernel", "units", (gate,)),),
            ),
            Weight(f"bias_{gate}", (f"b_{letter}",), ("units",), (Part("bias", "units", (gate,)),)),
        )
    )


def cudnn_bias(gates: tuple[str, ...]) -> Weight:
    """cuDNN's two biases, the input's first."""
    width = columns(gates)
    parts = (Part("bias", width, gates), Part("recurrent_bias", width, gates))
    return Weight("bias", ("bias",), (f"{2 * len(gates)} * units",), parts)


def columns(gates: tuple[str, ...]) -> str:
    """The formula of the width of the gates side by side."""
    return f"{len(gates)} * units" if len(gates) > 1 else "units"
