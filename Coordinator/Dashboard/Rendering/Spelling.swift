import CoordinatorCore
import Foundation

/// How pages spell numbers, times and sizes: the same everywhere, in English, with times of UTC.
package enum Spelling {
  /// `1,234,567`.
  package static func count(_ number: Int) -> String {
    let digits = String(number.magnitude)
    var groups: [Substring] = []
    var rest = digits[...]
    while rest.count > 3 {
      groups.append(rest.suffix(3))
      rest = rest.dropLast(3)
    }
    groups.append(rest)
    return (number < 0 ? "-" : "") + groups.reversed().joined(separator: ",")
  }

  /// `1 unit`, `2 units`.
  package static func count(_ number: Int, _ singular: String, _ plural: String? = nil) -> String {
    "\(count(number)) \(number == 1 ? singular : plural ?? singular + "s")"
  }

  /// A quantity in three digits or so: `0.12`, `3.4`, `56`, `1,234`, `12.3 M`, `4.5 G`.
  package static func amount(_ number: Double) -> String {
    guard number.isFinite else { return "-" }
    let scales = [(1e12, " T"), (1e9, " G"), (1e6, " M")]
    for (scale, suffix) in scales where number.magnitude >= scale {
      return decimals(number / scale, 1) + suffix
    }
    switch number.magnitude {
    case 100...: return count(Int(number.rounded()))
    case 10...: return decimals(number, 1)
    case 0: return "0"
    case ..<0.005: return "under 0.01"
    default: return decimals(number, 2)
    }
  }

  /// `3.2 GFLOP/s`.
  package static func speed(_ flopsPerSecond: Double) -> String { flops(flopsPerSecond) + "/s" }

  /// `270 MFLOP`.
  package static func flops(_ operations: Double) -> String {
    let scales = [(1e15, "P"), (1e12, "T"), (1e9, "G")]
    for (scale, prefix) in scales where operations >= scale {
      return "\(amount(operations / scale)) \(prefix)FLOP"
    }
    return "\(amount(operations / 1e6)) MFLOP"
  }

  /// With so many decimals at most: `3.50` is `3.5`.
  package static func decimals(_ number: Double, _ places: Int) -> String {
    guard number.isFinite else { return "-" }
    var text = String(format: "%.\(places)f", number)
    guard text.contains(".") else { return text }
    while text.hasSuffix("0") { text.removeLast() }
    if text.hasSuffix(".") { text.removeLast() }
    return text == "-0" ? "0" : text
  }

  /// `512 B`, `3.4 MB`: powers of 1,000, as disks are sold.
  package static func bytes(_ number: Int) -> String {
    let scales = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")]
    for (scale, unit) in scales where Double(number) >= scale {
      return decimals(Double(number) / scale, 1) + " " + unit
    }
    return "\(number) B"
  }

  /// `350 J`, `1.2 Wh`, `3.4 kWh`.
  package static func energy(_ joules: Double) -> String {
    switch joules / 3600 {
    case 1000...: amount(joules / 3.6e6) + " kWh"
    case 1...: amount(joules / 3600) + " Wh"
    default: amount(joules) + " J"
    }
  }

  /// A length of time in its two largest units: `45 s`, `3 min 20 s`, `2 h 5 min`, `3 days 4 h`.
  package static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e12 else { return "-" }
    if seconds > 0, seconds < 1 { return "under 1 s" }
    let whole = max(0, Int(seconds.rounded()))
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60)
    func pair(_ first: String, _ second: Int, _ unit: String) -> String {
      second == 0 ? first : "\(first) \(second) \(unit)"
    }
    if days > 0 { return pair(days == 1 ? "1 day" : "\(count(days)) days", hours, "h") }
    if hours > 0 { return pair("\(hours) h", minutes, "min") }
    if minutes > 0 { return pair("\(minutes) min", whole % 60, "s") }
    return "\(whole) s"
  }

  /// `3 min 20 s ago`.
  package static func ago(_ time: Timestamp, now: Timestamp) -> String {
    let seconds = now.seconds(since: time)
    return seconds < 1 ? "now" : duration(seconds) + " ago"
  }

  /// `2026-11-28 00:15 UTC`.
  package static func time(_ time: Timestamp) -> String {
    let text = machineTime(time)
    return text.prefix(10) + " " + text.dropFirst(11).prefix(5) + " UTC"
  }

  /// For `<time datetime>`: `2026-11-28T00:15:42Z`.
  package static func machineTime(_ time: Timestamp) -> String {
    Date(timeIntervalSince1970: Double(time.seconds)).formatted(.iso8601)
  }
}
