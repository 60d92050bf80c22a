import CoordinatorCore
import CoordinatorStore

/// A line without axes, for a cell of a table.
package struct Sparkline: Sendable {
  private let name: String
  private let values: [Double]

  private static let width = 120.0
  private static let height = 24.0

  /// - Parameter name: what is shown, in words; it is read out in place of the drawing.
  package init(
    name: String, history: [DayContribution], period: ChartPeriod,
    value: (DayContribution) -> Double
  ) {
    self.name = name
    values = period.sums(history, value)
  }

  /// As HTML; nothing but words when there is nothing to draw.
  package var markup: String {
    guard let largest = values.max(), largest > 0 else {
      return "<span class=\"quiet\">nothing yet</span>"
    }
    let step = Self.width / Double(max(1, values.count - 1))
    let points: String = values.enumerated().map { index, value in
      let y = Self.height - 2 - value / largest * (Self.height - 4)
      return "\(ChartMarkup.number(Double(index) * step)),\(ChartMarkup.number(y))"
    }.joined(separator: " ")
    let most = Spelling.amount(largest)
    return """
      <svg class="spark" role="img" aria-label="\(ChartMarkup.escape(name)), \(most) at most" \
      viewBox="0 0 \(ChartMarkup.number(Self.width)) \(ChartMarkup.number(Self.height))">\
      <polyline class="line series-1" points="\(points)"/></svg>
      """
  }
}
