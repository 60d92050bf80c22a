import Foundation

/// A moment as a wall clock shows it, for the templates that print a date.
package struct TemplateClock: Hashable, Sendable {
  package var year: Int
  package var month: Int
  package var day: Int
  package var hour: Int
  package var minute: Int
  package var second: Int

  package init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
  }

  /// A moment in Coordinated Universal Time.
  package init(secondsSince1970 seconds: Int64) {
    let days = Int(seconds >= 0 ? seconds / 86400 : (seconds - 86399) / 86400)
    let rest = Int(seconds - Int64(days) * 86400)
    (year, month, day) = Self.date(daysSince1970: days)
    hour = rest / 3600
    minute = rest / 60 % 60
    second = rest % 60
  }

  /// Parses `YYYY-MM-DD`, optionally with `THH:MM:SS`; nil for anything else.
  package init?(_ text: String) {
    let numbers = text.split { "-T: ".contains($0) }.map { Int($0.prefix { $0 != "." }) }
    guard numbers.count == 3 || numbers.count == 6, !numbers.contains(nil) else { return nil }
    let values = numbers.compactMap { $0 } + [0, 0, 0]
    guard (1...9999).contains(values[0]), (1...12).contains(values[1]),
      (1...31).contains(values[2]), (0...23).contains(values[3]), (0...59).contains(values[4]),
      (0...60).contains(values[5])
    else { return nil }
    self.init(
      year: values[0], month: values[1], day: values[2], hour: values[3], minute: values[4],
      second: values[5])
  }

  /// Howard Hinnant's `days_from_civil`, backwards.
  private static func date(daysSince1970 days: Int) -> (Int, Int, Int) {
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month,
      dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    )
  }

  /// 1 for the first of January.
  var dayOfYear: Int {
    let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month - 1]
    return before + day + (isLeap && month > 2 ? 1 : 0)
  }

  /// 0 for Sunday (Sakamoto's rule).
  var weekday: Int {
    let shift = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4][month - 1]
    let adjusted = year - (month < 3 ? 1 : 0)
    return (adjusted + adjusted / 4 - adjusted / 100 + adjusted / 400 + shift + day) % 7
  }
}
