"""GRU: a recurrent network with two gates, nearly an LSTM for three quarters of its weights.

Paper: Kyunghyun Cho, Bart van Merriënboer, Caglar Gulcehre, Dzmitry Bahdanau, Fethi Bougares,
Holger Schwenk, Yoshua Bengio (2014), "Learning Phrase Representations using RNN Encoder-Decoder for
Statistical Machine Translation", arXiv:1406.1078.

Its hidden state h is a weighted mean of what it was and of what is new. At each step, with σ the
logistic sigmoid:

    reset gate   r = σ(W_r x + U_r h + b_r)           how much of the past the candidate sees
    update gate  z = σ(W_z x + U_z h + b_z)           how much of the past stays
    candidate    n = tanh(W_n x + b_n + r (U_n h + c_n))
    hidden       h ← (1 - z) n + z h

How ours differs:
- the paper computes U_n (r h): it resets the state before the product. Ours, as torch and cuDNN do,
  resets the product, which is why it has a bias c_n of its own; all products with h are then one.
- each other b is the sum of two numbers, as in torch, whose fused form reads the same weights.
- texts and signals with one answer are read from both ends, and answered from the mean of the
  features of all tokens; signals pass two convolutions before, which make frames of steps.

A layer of H units that reads D numbers has 3 H (D + H + 2) parameters in each direction.

When to use it: as an LSTM; which of the two is better differs from data to data, and by little. It
has a quarter fewer weights, but is not faster: on processors torch's LSTM takes as long or half as
long (docs/log.md).
"""

# Letters in tensor names: B examples, D numbers of an input, H of a hidden state.

from torch import Tensor, nn

from glassnet.networks._recurrent import RecurrentLayer, State
from glassnet.networks._recurrent_network import RecurrentNetwork

READS = ("tokens", "stream", "signals", "frames", "forecast")


class GRULayer(RecurrentLayer):
    """One layer, reading in one direction; its state is (hidden,)."""

    def __init__(self, dim_in: int, hidden: int):
        super().__init__()
        self.fused = nn.GRU(dim_in, hidden, batch_first=True)
        self.reset_gate = nn.Sigmoid()
        self.update_gate = nn.Sigmoid()
        self.candidate = nn.Tanh()
        self.hidden = nn.Identity()

    def step(self, x_BD: Tensor, state: State) -> State:
        """The state after one more input."""
        (hidden_BH,) = state
        from_input, from_past = self.sums(x_BD, hidden_BH)
        input_to_reset, input_to_update, input_to_candidate = from_input.chunk(3, 1)
        past_to_reset, past_to_update, past_to_candidate = from_past.chunk(3, 1)
        r_BH = self.reset_gate(input_to_reset + past_to_reset)
        z_BH = self.update_gate(input_to_update + past_to_update)
        n_BH = self.candidate(input_to_candidate + r_BH * past_to_candidate)
        return (self.hidden((1 - z_BH) * n_BH + z_BH * hidden_BH),)


class GRU(RecurrentNetwork):
    """GRU layers on embedded tokens, or on the frames of signals."""

    layer = GRULayer


NETWORK = GRU
