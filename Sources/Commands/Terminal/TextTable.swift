import Foundation
import WireProtocol

/// Columns as wide as what they hold; numbers to the right.
struct TextTable {
  struct Column {
    let title: String
    let isNumber: Bool

    static func text(_ title: String) -> Column { Column(title: title, isNumber: false) }
    static func number(_ title: String) -> Column { Column(title: title, isNumber: true) }
  }

  let columns: [Column]
  private(set) var rows: [[String]] = []

  init(_ columns: Column...) { self.columns = columns }

  /// Takes a cell for each column. Each is one line, whatever others wrote into it.
  mutating func add(_ cells: String...) { rows.append(cells.map { ForeignText.plain($0) }) }

  func rendered(for terminal: Terminal = .output) -> String {
    let widths = columns.indices.map { index in
      ([columns[index].title] + rows.map { $0[index] }).map(\.count).max() ?? 0
    }
    func line(_ cells: [String]) -> String {
      let padded = cells.indices.map { index in
        let padding = String(repeating: " ", count: widths[index] - cells[index].count)
        return columns[index].isNumber ? padding + cells[index] : cells[index] + padding
      }
      let joined = padded.joined(separator: "  ")
      return String(joined.reversed().drop { $0 == " " }.reversed())
    }
    let head = terminal.styled(line(columns.map(\.title)), .bold)
    return ([head] + rows.map(line)).joined(separator: "\n")
  }
}

/// Numbers as people read them.
enum Spelled {
  /// `1,234,567`.
  static func count(_ value: Int) -> String {
    let digits = String(value.magnitude)
    var grouped = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { grouped += "," }
      grouped.append(digit)
    }
    return (value < 0 ? "-" : "") + grouped
  }

  /// `93 MB`.
  static func bytes(_ value: Int) -> String {
    var amount = Double(value)
    for unit in ["bytes", "kB", "MB", "GB"] {
      if abs(amount) < 1000 {
        return unit == "bytes"
          ? "\(value) bytes" : String(format: "%.\(amount < 10 ? 1 : 0)f ", amount) + unit
      }
      amount /= 1000
    }
    return String(format: "%.1f TB", amount)
  }

  /// Credit with as many decimals as tell something.
  static func credit(_ value: Double) -> String {
    String(format: value >= 100 ? "%.0f" : value >= 1 ? "%.2f" : "%.4f", value)
  }

  /// Joules in kWh with as many decimals as tell something, `~` where part of them is an estimate;
  /// `-` for none.
  static func energy(_ joules: Double?, estimated: Double?) -> String {
    guard let joules, joules > 0 else { return "-" }
    return ((estimated ?? 0) > 0 ? "~" : "") + kilowattHours(joules)
  }

  /// `0.0042`, `1.23`, `456`.
  static func kilowattHours(_ joules: Double) -> String {
    let hours = joules / 3.6e6
    return String(format: hours >= 100 ? "%.0f" : hours >= 1 ? "%.2f" : "%.4f", hours)
  }

  /// `2026-03-01 12:30 UTC`.
  static func time(_ seconds: Int) -> String {
    let date = Date(timeIntervalSince1970: TimeInterval(seconds))
    return date.formatted(
      Date.VerbatimFormatStyle(
        format: """
          \(year: .defaultDigits)-\(month: .twoDigits)-\(day: .twoDigits) \
          \(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased)):\(minute: .twoDigits) \
          UTC
          """,
        timeZone: .gmt, calendar: Calendar(identifier: .gregorian)))
  }
}
