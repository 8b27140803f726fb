"""The audit without people: injected errors and shuffled clips of one's own data, and thresholds fitted from them."""
