"""LSTM: a recurrent network whose gates decide what to keep, what to take in and what to show.

Paper: Sepp Hochreiter, Jürgen Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9,
1735-1780; the forget gate is that of Felix Gers, Jürgen Schmidhuber, Fred Cummins (2000), "Learning
to Forget: Continual Prediction with LSTM", Neural Computation 12, 2451-2471.

Beside its hidden state h an LSTM has a cell c, which is changed by adding. Where the forget gate is
near 1, the gradient flows back through the cell hardly changed; in an RNN it is multiplied by the
recurrent weights at every step, and vanishes. At each step, with σ the logistic sigmoid:

    input gate   i = σ(W_i x + U_i h + b_i)       how much of what is new goes into the cell
    forget gate  f = σ(W_f x + U_f h + b_f)       how much of the cell stays
    candidate    g = tanh(W_g x + U_g h + b_g)    what is new
    output gate  o = σ(W_o x + U_o h + b_o)       how much of the cell is shown
    cell         c ← f c + i g
    hidden       h ← o tanh(c)

How ours differs:
- the paper of 1997 has no forget gate (f = 1), several cells to a gate, and cuts the gradient off
  at the gates; ours is the usual form since Alex Graves and Schmidhuber (2005), without peepholes.
- each b is the sum of two numbers, as in torch, whose fused form reads the same weights.
- texts and signals with one answer are read from both ends (Graves and Schmidhuber 2005), and
  answered from the mean of the features of all tokens; signals pass two convolutions before, which
  make frames of steps.

A layer of H units that reads D numbers has 4 H (D + H + 2) parameters in each direction.

When to use it: for texts with one answer, and for language modelling where a Transformer is too
slow or data are few. It reads texts of any length, keeps only a small state between them, and works
well with the defaults. The file's equations are what runs when its gates are looked at; training
runs torch's fused form.
"""

# Letters in tensor names: B examples, D numbers of an input, H of a hidden state.

import torch
from torch import Tensor, nn

from glassnet.networks._recurrent import RecurrentLayer, State
from glassnet.networks._recurrent_network import RecurrentNetwork

READS = ("tokens", "stream", "signals", "frames", "forecast")


class LSTMLayer(RecurrentLayer):
    """One layer, reading in one direction; its state is (hidden, cell)."""

    def __init__(self, dim_in: int, hidden: int):
        super().__init__()
        self.fused = nn.LSTM(dim_in, hidden, batch_first=True)
        self.input_gate = nn.Sigmoid()
        self.forget_gate = nn.Sigmoid()
        self.candidate = nn.Tanh()
        self.output_gate = nn.Sigmoid()
        self.cell = nn.Identity()
        self.hidden = nn.Identity()

    def step(self, x_BD: Tensor, state: State) -> State:
        """The state after one more input."""
        hidden_BH, cell_BH = state
        from_input, from_past = self.sums(x_BD, hidden_BH)
        to_input, to_forget, to_candidate, to_output = (from_input + from_past).chunk(4, 1)
        i_BH = self.input_gate(to_input)
        f_BH = self.forget_gate(to_forget)
        g_BH = self.candidate(to_candidate)
        o_BH = self.output_gate(to_output)
        cell_BH = self.cell(f_BH * cell_BH + i_BH * g_BH)
        hidden_BH = self.hidden(o_BH * torch.tanh(cell_BH))
        return hidden_BH, cell_BH


class LSTM(RecurrentNetwork):
    """LSTM layers on embedded tokens, or on the frames of signals."""

    layer = LSTMLayer


NETWORK = LSTM
