/// Times of the week, to the minute, in the machine's own time zone.
///
/// Written as ranges separated by commas: `mon-fri 22:00-07:00, sat-sun 00:00-24:00`. Days may be
/// left out (every day). A range that ends before it begins goes on to the next day's morning.
/// `always` and `never` stand for themselves.
package struct WeeklyHours: Hashable, Sendable {
  /// A stretch that starts on each of the days.
  struct Stretch: Hashable, Sendable {
    /// 0 is Sunday.
    var days: Set<Int>
    /// Minutes since midnight; an end beyond 1440 lies on the next day.
    var start: Int
    var end: Int
  }

  private static let minutesPerDay = 24 * 60
  private static let names = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

  private var stretches: [Stretch]
  /// As it was written.
  package let spelled: String

  /// All the time.
  package static let always = WeeklyHours(
    stretches: [Stretch(days: Set(0..<7), start: 0, end: minutesPerDay)], spelled: "always")
  /// At no time.
  package static let never = WeeklyHours(stretches: [], spelled: "never")

  private init(stretches: [Stretch], spelled: String) {
    self.stretches = stretches
    self.spelled = spelled
  }

  /// - Throws: `PreferenceError` that quotes the part which is not understood.
  package init(_ text: String) throws(PreferenceError) {
    switch text {
    case "always": self = .always
    case "never": self = .never
    default:
      var stretches: [Stretch] = []
      for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        stretches.append(try Self.stretch(part))
      }
      guard !stretches.isEmpty else { throw Self.misunderstood(text) }
      self.init(stretches: stretches, spelled: text)
    }
  }

  /// Whether a minute belongs to it.
  ///
  /// - Parameters:
  ///   - weekday: 0 is Sunday.
  ///   - minute: since midnight.
  package func contains(weekday: Int, minute: Int) -> Bool {
    stretches.contains { stretch in
      let yesterday = (weekday + 6) % 7
      return stretch.days.contains(weekday) && (stretch.start..<stretch.end).contains(minute)
        || stretch.days.contains(yesterday)
          && (stretch.start..<stretch.end).contains(minute + Self.minutesPerDay)
    }
  }

  private static func stretch(_ text: Substring) throws(PreferenceError) -> Stretch {
    let words = text.split(separator: " ")
    guard let last = words.last, words.count <= 2 else { throw misunderstood(text) }
    var days = Set(0..<7)
    if words.count == 2 {
      guard let named = Self.days(words[0]) else { throw misunderstood(text) }
      days = named
    }
    let ends = last.split(separator: "-", omittingEmptySubsequences: false).map { minutes($0) }
    guard ends.count == 2, let start = ends[0], let end = ends[1], start < minutesPerDay,
      start != end
    else { throw misunderstood(text) }
    return Stretch(days: days, start: start, end: end > start ? end : end + minutesPerDay)
  }

  /// `mon`, or `mon-fri`, which may pass the week's end.
  private static func days(_ text: Substring) -> Set<Int>? {
    let named = text.split(separator: "-", omittingEmptySubsequences: false)
      .map { names.firstIndex(of: $0.lowercased()) }
    switch (named.count, named.first ?? nil, named.last ?? nil) {
    case (1, let day?, _): return [day]
    case (2, let first?, let last?):
      return Set((0...(last + 7 - first) % 7).map { (first + $0) % 7 })
    default: return nil
    }
  }

  /// `7:30` as minutes, up to `24:00`.
  private static func minutes(_ text: Substring) -> Int? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ (1...2).contains($0.count) }),
      let hour = Int(parts[0]), let minute = Int(parts[1]), hour >= 0, (0..<60).contains(minute)
    else { return nil }
    let total = hour * 60 + minute
    return total <= minutesPerDay ? total : nil
  }

  private static func misunderstood(_ text: some StringProtocol) -> PreferenceError {
    PreferenceError(
      key: WorkerPreferences.CodingKeys.hours.rawValue,
      reason: "\"\(text)\" is not understood; write for example: mon-fri 22:00-07:00, sat-sun "
        + "00:00-24:00")
  }
}

extension WeeklyHours: Codable {
  package init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    do {
      try self.init(text)
    } catch {
      throw PreferenceError(
        key: decoder.codingPath.last?.stringValue ?? error.key, reason: error.reason)
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(spelled)
  }
}
