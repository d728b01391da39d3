"""RNN: the simple recurrent network, whose gradient vanishes over long texts.

Paper: Jeffrey Elman (1990), "Finding Structure in Time", Cognitive Science 14, 179-211.

At each step its hidden state is made of the input and of the hidden state before:

    hidden  h ← tanh(W x + U h + b)

The gradient that reaches k steps back is multiplied k times by U and by the slope of tanh, which is
below 1: it shrinks exponentially, or grows if U is large (Bengio, Simard, Frasconi 1994). That is
what the gates of an LSTM were made for, and what this network is here to show.

How ours differs:
- Elman's units are logistic sigmoids, and he trained without sending the gradient back through
  time (the former hidden state was one more input); ours are tanh, with the whole gradient.
- b is the sum of two numbers, as in torch, whose fused form reads the same weights.
- texts and signals with one answer are read from both ends, and answered from the mean of the
  features of all tokens; signals pass two convolutions before, which make frames of steps.

A layer of H units that reads D numbers has H (D + H + 2) parameters in each direction.

When to use it: to understand recurrence, and as the baseline that an LSTM must beat. Set fit.clip
to 1 if its loss jumps.
"""

# Letters in tensor names: B examples, D numbers of an input, H of a hidden state.

from torch import Tensor, nn

from glassnet.networks._recurrent import RecurrentLayer, State
from glassnet.networks._recurrent_network import RecurrentNetwork

READS = ("tokens", "stream", "signals", "frames", "forecast")


class RNNLayer(RecurrentLayer):
    """One layer, reading in one direction; its state is (hidden,)."""

    def __init__(self, dim_in: int, hidden: int):
        super().__init__()
        self.fused = nn.RNN(dim_in, hidden, batch_first=True)
        self.hidden = nn.Tanh()

    def step(self, x_BD: Tensor, state: State) -> State:
        """The state after one more input."""
        (hidden_BH,) = state
        from_input, from_past = self.sums(x_BD, hidden_BH)
        return (self.hidden(from_input + from_past),)


class RNN(RecurrentNetwork):
    """Simple recurrent layers on embedded tokens, or on the frames of signals."""

    layer = RNNLayer


NETWORK = RNN
