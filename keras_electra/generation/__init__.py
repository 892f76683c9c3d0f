"""What the pair writes: one network proposes tokens, one judges them."""
