"""Child processes of this product: their owner's end, their own end, and what processes hold in memory."""
