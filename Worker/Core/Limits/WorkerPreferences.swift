/// What the owner of a machine allows a worker. The meanings are those of BOINC's computing
/// preferences where it has the same (its wiki, "Preferences"); each setting says its unit in its name.
///
/// Kept as JSON in the worker's folder; a key that is missing has its default, an unknown one is an
/// error that names it, so that a misspelt limit is never taken for one that holds.
package struct WorkerPreferences: Hashable, Sendable {
  /// Of the time of its threads, how much the worker may compute, 1 to 100. Default: 100.
  package var cpuPercent = 100
  /// Threads at most; nil: as many as the worker was started with.
  package var threads: Int?
  /// Of the machine's memory, what a unit may take while somebody uses the machine, 1 to 100.
  /// Default: 50.
  package var memoryInUsePercent = 50
  /// And while nobody does. Default: 90.
  package var memoryIdlePercent = 90
  /// Whether it computes while somebody uses the machine. Default: yes, at the lowest priority.
  package var computesInUse = true
  /// Seconds without keyboard or mouse after which nobody uses the machine. Default: 180.
  package var idleAfterSeconds = 180
  /// It stops while other programs take more than this share of all processors, 1 to 100; 0: never.
  /// Default: 25.
  package var otherLoadPercent = 25
  /// Whether it computes on battery. Default: no.
  package var computesOnBattery = false
  /// It stops while the machine's warmest sensor shows more, in degrees Celsius; nil: never.
  package var temperatureCelsius: Int?
  /// When it computes. Default: always.
  package var hours = WeeklyHours.always

  package init() {}
}

/// A setting that makes no sense.
package struct PreferenceError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The setting's key, as in the file.
  package var key: String
  package var reason: String

  package init(key: String, reason: String) {
    self.key = key
    self.reason = reason
  }

  package var description: String { "\(key): \(reason)" }
}

extension WorkerPreferences: Codable {
  /// The keys of the file, which are also what the command line calls them.
  package enum CodingKeys: String, CodingKey, CaseIterable, Sendable {
    case cpuPercent = "cpu_percent"
    case threads
    case memoryInUsePercent = "memory_in_use_percent"
    case memoryIdlePercent = "memory_idle_percent"
    case computesInUse = "computes_in_use"
    case idleAfterSeconds = "idle_after_seconds"
    case otherLoadPercent = "other_load_percent"
    case computesOnBattery = "computes_on_battery"
    case temperatureCelsius = "temperature_celsius"
    case hours
  }

  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }

    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// - Throws: `PreferenceError` for an unknown key or a value out of range, `DecodingError` for one
  ///   of another type.
  package init(from decoder: any Decoder) throws {
    let known = Set(CodingKeys.allCases.map(\.rawValue))
    let keys = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
    if let unknown = keys.sorted().first(where: { !known.contains($0) }) {
      throw PreferenceError(
        key: unknown, reason: "no such setting; there are \(known.sorted().joined(separator: ", "))")
    }
    let values = try decoder.container(keyedBy: CodingKeys.self)
    func read<Value: Decodable>(_ key: CodingKeys, into target: inout Value) throws {
      target = try values.decodeIfPresent(Value.self, forKey: key) ?? target
    }
    self.init()
    try read(.cpuPercent, into: &cpuPercent)
    threads = try values.decodeIfPresent(Int.self, forKey: .threads)
    try read(.memoryInUsePercent, into: &memoryInUsePercent)
    try read(.memoryIdlePercent, into: &memoryIdlePercent)
    try read(.computesInUse, into: &computesInUse)
    try read(.idleAfterSeconds, into: &idleAfterSeconds)
    try read(.otherLoadPercent, into: &otherLoadPercent)
    try read(.computesOnBattery, into: &computesOnBattery)
    temperatureCelsius = try values.decodeIfPresent(Int.self, forKey: .temperatureCelsius)
    try read(.hours, into: &hours)
    try check()
  }

  /// - Throws: `PreferenceError` for a value out of range.
  package func check() throws(PreferenceError) {
    try check(.cpuPercent, cpuPercent, 1...100)
    if let threads { try check(.threads, threads, 1...1024) }
    try check(.memoryInUsePercent, memoryInUsePercent, 1...100)
    try check(.memoryIdlePercent, memoryIdlePercent, 1...100)
    try check(.idleAfterSeconds, idleAfterSeconds, 1...86400)
    try check(.otherLoadPercent, otherLoadPercent, 0...100)
    if let temperatureCelsius { try check(.temperatureCelsius, temperatureCelsius, 20...150) }
  }

  private func check(
    _ key: CodingKeys, _ value: Int, _ range: ClosedRange<Int>
  ) throws(PreferenceError) {
    guard range.contains(value) else {
      throw PreferenceError(
        key: key.rawValue,
        reason: "\(value) is not between \(range.lowerBound) and \(range.upperBound)")
    }
  }
}
