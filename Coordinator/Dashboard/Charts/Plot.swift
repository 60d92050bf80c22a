import CoordinatorCore
import Foundation

/// The area that is drawn in, with its axes. Units are those of the SVG's `viewBox`: the style
/// sheet shows it between 480 and 704 pixels wide, so that a text of 15 units has 11 to 17 pixels.
struct Plot {
  static let width = 640.0
  static let height = 220.0
  private static let left = 62.0
  private static let right = 8.0
  private static let top = 12.0
  private static let bottom = 28.0

  let ticks: AxisTicks
  let period: ChartPeriod

  init(period: ChartPeriod, largest: Double, isWhole: Bool) {
    self.period = period
    ticks = AxisTicks(covering: largest, isWhole: isWhole)
  }

  /// Width of a column.
  var columnWidth: Double {
    (Self.width - Self.left - Self.right) / Double(max(1, period.ends.count))
  }

  /// The middle of a column.
  func x(_ column: Int) -> Double { Self.left + (Double(column) + 0.5) * columnWidth }

  func y(_ value: Double) -> Double {
    let fraction = value.isFinite ? min(1, max(0, value / ticks.top)) : 0
    return Self.height - Self.bottom - fraction * (Self.height - Self.bottom - Self.top)
  }

  var floor: Double { y(0) }

  /// Lines at the ticks, their labels, and the days below.
  var axes: String {
    let lines: [String] = zip(ticks.values, ticks.labels).map { value, label in
      let height = ChartMarkup.number(y(value))
      let text = ChartMarkup.number(y(value) + 5)
      return """
        <line class="\(value == 0 ? "floor" : "tick")" x1="\(ChartMarkup.number(Self.left))" \
        x2="\(ChartMarkup.number(Self.width - Self.right))" y1="\(height)" y2="\(height)"/>\
        <text x="\(ChartMarkup.number(Self.left - 6))" y="\(text)" text-anchor="end">\
        \(ChartMarkup.escape(label))</text>
        """
    }
    let base = ChartMarkup.number(Self.height - 8)
    let days: [String] = labelledColumns.map { column in
      let isFirst = column == 0 && period.ends.count > 1
      let isLast = column == period.ends.count - 1 && period.ends.count > 1
      let anchor = isFirst ? "start" : isLast ? "end" : "middle"
      let at = isFirst ? Self.left : isLast ? Self.width - Self.right : x(column)
      return """
        <text x="\(ChartMarkup.number(at))" y="\(base)" text-anchor="\(anchor)">\
        \(Spelling.shortDate(period.ends[column]))</text>
        """
    }
    return (lines + days).joined(separator: "\n")
  }

  /// At most five, the first and the last among them.
  var labelledColumns: [Int] {
    let last = period.ends.count - 1
    guard last > 4 else { return Array(0...max(0, last)) }
    return (0...4).map { Int((Double(last * $0) / 4).rounded()) }
  }
}
