import Foundation

/// Round numbers along an axis that begins at 0.
package struct AxisTicks: Hashable, Sendable {
  /// From 0 up, equally far apart; the last is at least the largest value that is shown.
  package let values: [Double]
  /// How each is spelled, all in one scale: `0`, `0.5 M`, `1 M`.
  package let labels: [String]

  /// Steps of 1, 2 or 5 times a power of ten, three to six of them.
  ///
  /// - Parameters:
  ///   - largest: what the axis has to reach; anything but a finite positive number counts as 1,
  ///     and nothing is drawn beyond 1e300.
  ///   - isWhole: what is shown are counts, between which no tick makes sense.
  package init(covering largest: Double, isWhole: Bool = false) {
    let largest = largest.isFinite && largest > 1e-9 ? min(largest, 1e300) : 1
    let power = pow(10, floor(log10(largest / 4)))
    let factor = [1.0, 2, 5, 10].first { $0 * power * 4.5 >= largest } ?? 10
    let step = isWhole ? max(1, factor * power) : factor * power
    // A sum that is a rounding error above a tick needs no further one.
    let count = max(1, Int((largest / step - 1e-9).rounded(.up)))
    values = (0...count).map { Double($0) * step }
    labels = Self.labels(values, step: step)
  }

  /// The end of the axis.
  package var top: Double { values.last ?? 1 }

  private static let scales = [
    (1e18, " E"), (1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (0.01, ""), (1e-5, " m"),
    (0, " µ"),
  ]
  /// What the scales count in, where that is not their own size.
  private static let units = [0.01: 1.0, 1e-5: 1e-3, 0: 1e-6]

  private static func labels(_ values: [Double], step: Double) -> [String] {
    let top = values.last ?? 1
    let (from, suffix) = scales.first { top >= $0.0 } ?? (1, "")
    let scale = units[from] ?? from
    let places = max(0, min(12, Int((-log10(step / scale) - 1e-9).rounded(.up))))
    return values.map { value in
      guard value > 0 else { return "0" }
      let scaled = value / scale
      return
        (places == 0 && scaled < 1e15
        ? Spelling.count(Int(scaled.rounded())) : Spelling.decimals(scaled, places)) + suffix
    }
  }
}
