/// The middle of some figures, or the mean of the two in the middle; 0 of none.
func median(_ figures: [Double]) -> Double {
  guard !figures.isEmpty else { return 0 }
  let sorted = figures.sorted()
  return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}
