/// What the kernel says of how much programs wait: "Pressure Stall Information" in its
/// documentation.
package enum Pressure {
  /// The share of the last ten seconds, in per cent.
  ///
  /// - Parameters:
  ///   - kind: `some` for when anything waited, `full` for when everything did.
  ///   - text: a file of `/proc/pressure`, such as `some avg10=1.53 avg60=0.87 avg300=0.20
  ///     total=94`.
  /// - Returns: nil where the text does not say it.
  package static func averageOf10(_ kind: String, in text: String) -> Double? {
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard let first = words.first, first == kind else { continue }
      let value = words.dropFirst().first { $0.hasPrefix("avg10=") }?.dropFirst("avg10=".count)
      guard let percent = value.flatMap({ Double($0) }), (0...100).contains(percent) else {
        return nil
      }
      return percent
    }
    return nil
  }
}
