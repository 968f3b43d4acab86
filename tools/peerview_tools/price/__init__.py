"""What disclosure control costs and what it keeps: simulations through the product's own rules."""
