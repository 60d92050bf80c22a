/// A month of the machine's calendar.
package struct CalendarMonth: Hashable, Comparable, Sendable {
  package var year: Int
  /// 1 to 12.
  package var month: Int

  package init(year: Int, month: Int) {
    self.year = year
    self.month = month
  }

  package static func < (left: CalendarMonth, right: CalendarMonth) -> Bool {
    (left.year, left.month) < (right.year, right.month)
  }

  /// As in `2031-04`.
  package var spelled: String { "\(year)-\(month < 10 ? "0" : "")\(month)" }

  /// Reads what `spelled` gives; nil for anything else.
  package init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[1].utf8.count == 2, let year = Int(parts[0]),
      let month = Int(parts[1]), (1...9999).contains(year), (1...12).contains(month)
    else { return nil }
    self.init(year: year, month: month)
  }
}

/// What was transferred in each month. A month keeps its count when the calendar leaves and comes
/// back, as it does on a machine that starts with a wrong clock.
package struct TrafficLedger: Hashable, Sendable {
  private var bytes: [CalendarMonth: Int] = [:]

  /// Months beyond this many are forgotten, the oldest first.
  private static let monthsKept = 24

  package init() {}

  /// Bytes in both directions.
  package func bytes(in month: CalendarMonth) -> Int { bytes[month] ?? 0 }

  /// Counts bytes that were transferred; less than none are none.
  package mutating func add(_ count: Int, in month: CalendarMonth) {
    let sum = bytes(in: month).addingReportingOverflow(max(0, count))
    bytes[month] = sum.overflow ? .max : sum.partialValue
    while bytes.count > Self.monthsKept, let oldest = bytes.keys.filter({ $0 != month }).min() {
      bytes[oldest] = nil
    }
  }
}

/// An object of months and bytes: `{"2031-04": 123456}`.
extension TrafficLedger: Codable {
  /// - Throws: `DecodingError`, also for what is no month or less than nothing.
  package init(from decoder: any Decoder) throws {
    let months = try [String: Int](from: decoder)
    for (name, count) in months {
      guard let month = CalendarMonth(name), count >= 0 else {
        throw DecodingError.dataCorrupted(
          .init(codingPath: decoder.codingPath, debugDescription: "\(name): \(count)"))
      }
      add(count, in: month)
    }
  }

  package func encode(to encoder: any Encoder) throws {
    try Dictionary(uniqueKeysWithValues: bytes.map { ($0.key.spelled, $0.value) })
      .encode(to: encoder)
  }
}
