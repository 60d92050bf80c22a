/// What the owner of a machine allows a worker. The meanings are those of BOINC's computing
/// preferences where it has the same (its wiki, "Preferences"); each setting says its unit in its
/// name.
///
/// Kept as JSON in the worker's folder; a key that is missing has its default, an unknown one is an
/// error that names it, so that a misspelt limit is never taken for one that holds.
package struct WorkerPreferences: Hashable, Sendable {
  /// Of the time of its threads, how much the worker may compute, 1 to 100. Default: 100.
  package var cpuPercent = 100
  /// Of the worker's own control group beside others that want processors, 1 to 10,000, where it
  /// may set it; nil: as it is (100, where nobody changed it).
  package var cgroupWeight: Int?
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
  /// It stops while other programs of normal priority take more than this share of all processors,
  /// 1 to 100; 0: never. Default: 25.
  package var otherLoadPercent = 25
  /// It stops while something waits for a processor more than this share of the time, 1 to 100;
  /// 0: never. Default: 0, since a worker of the lowest priority waits itself whenever others
  /// compute, and the kernel counts that.
  package var cpuPressurePercent = 0
  /// It stops while everything waits for memory more than this share of the time, 1 to 100;
  /// 0: never. Default: 10, at which people notice.
  package var memoryPressurePercent = 10
  /// Whether it computes on battery. Default: no.
  package var computesOnBattery = false
  /// It stops while the machine's warmest sensor shows more, in degrees Celsius; nil: never.
  package var temperatureCelsius: Int?
  /// When it computes. Default: always.
  package var hours = WeeklyHours.always
  /// When electricity is dear, so that it rests. Default: never.
  package var tariffHours = WeeklyHours.never
  /// What blobs are downloaded with, in kilobytes (1,000 bytes) a second; nil: no limit.
  package var downloadKilobytesPerSecond: Int?
  /// What results are uploaded with; nil: no limit.
  package var uploadKilobytesPerSecond: Int?
  /// When blobs and results are transferred. Default: always.
  package var networkHours = WeeklyHours.always
  /// Blobs and results together in a month of the machine's calendar, in megabytes (1,000,000
  /// bytes); nil: no limit.
  package var monthlyMegabytes: Int?
  /// Disk that models and inputs may take, in megabytes; nil: as the worker was started.
  package var diskMegabytes: Int?
  /// Of the file system's size, what they may take, 1 to 100. Default: 90.
  package var diskPercent = 90
  /// To be left free on the file system, in megabytes: when others fill it, the worker makes room.
  /// Default: 1000.
  package var diskFreeMegabytes = 1000
  /// Watts that a busy processor takes, 1 to 500, for the estimate where the machine's counters
  /// cannot be read; limits nothing. Default: 6, about what today's desktops and servers take for
  /// each logical processor under full load.
  package var wattsPerCore = 6
  /// Whether the coordinator is told what the machine is (`MachineFacts`). Default: yes.
  package var sharesMachine = true

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
    case cgroupWeight = "cgroup_weight"
    case threads
    case memoryInUsePercent = "memory_in_use_percent"
    case memoryIdlePercent = "memory_idle_percent"
    case computesInUse = "computes_in_use"
    case idleAfterSeconds = "idle_after_seconds"
    case otherLoadPercent = "other_load_percent"
    case cpuPressurePercent = "cpu_pressure_percent"
    case memoryPressurePercent = "memory_pressure_percent"
    case computesOnBattery = "computes_on_battery"
    case temperatureCelsius = "temperature_celsius"
    case hours
    case tariffHours = "tariff_hours"
    case downloadKilobytesPerSecond = "download_kilobytes_per_second"
    case uploadKilobytesPerSecond = "upload_kilobytes_per_second"
    case networkHours = "network_hours"
    case monthlyMegabytes = "monthly_megabytes"
    case diskMegabytes = "disk_megabytes"
    case diskPercent = "disk_percent"
    case diskFreeMegabytes = "disk_free_megabytes"
    case wattsPerCore = "watts_per_core"
    case sharesMachine = "share_machine"
  }

  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }

    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// - Throws: `PreferenceError` for an unknown key or a value out of range, `DecodingError` for
  ///   one of another type.
  package init(from decoder: any Decoder) throws {
    let known = Set(CodingKeys.allCases.map(\.rawValue))
    let keys = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
    if let unknown = keys.sorted().first(where: { !known.contains($0) }) {
      throw PreferenceError(
        key: unknown, reason: "no such setting; there are \(known.sorted().joined(separator: ", "))"
      )
    }
    let values = try decoder.container(keyedBy: CodingKeys.self)
    func read<Value: Decodable>(_ key: CodingKeys, into target: inout Value) throws {
      target = try values.decodeIfPresent(Value.self, forKey: key) ?? target
    }
    func read(_ key: CodingKeys, into target: inout Int?) throws {
      target = try values.decodeIfPresent(Int.self, forKey: key)
    }
    self.init()
    try read(.cpuPercent, into: &cpuPercent)
    try read(.cgroupWeight, into: &cgroupWeight)
    try read(.threads, into: &threads)
    try read(.memoryInUsePercent, into: &memoryInUsePercent)
    try read(.memoryIdlePercent, into: &memoryIdlePercent)
    try read(.computesInUse, into: &computesInUse)
    try read(.idleAfterSeconds, into: &idleAfterSeconds)
    try read(.otherLoadPercent, into: &otherLoadPercent)
    try read(.cpuPressurePercent, into: &cpuPressurePercent)
    try read(.memoryPressurePercent, into: &memoryPressurePercent)
    try read(.computesOnBattery, into: &computesOnBattery)
    try read(.temperatureCelsius, into: &temperatureCelsius)
    try read(.hours, into: &hours)
    try read(.tariffHours, into: &tariffHours)
    try read(.downloadKilobytesPerSecond, into: &downloadKilobytesPerSecond)
    try read(.uploadKilobytesPerSecond, into: &uploadKilobytesPerSecond)
    try read(.networkHours, into: &networkHours)
    try read(.monthlyMegabytes, into: &monthlyMegabytes)
    try read(.diskMegabytes, into: &diskMegabytes)
    try read(.diskPercent, into: &diskPercent)
    try read(.diskFreeMegabytes, into: &diskFreeMegabytes)
    try read(.wattsPerCore, into: &wattsPerCore)
    try read(.sharesMachine, into: &sharesMachine)
    try check()
  }

  /// - Throws: `PreferenceError` for a value out of range.
  package func check() throws(PreferenceError) {
    try check(.cpuPercent, cpuPercent, 1...100)
    try check(.cgroupWeight, cgroupWeight, 1...10_000)
    try check(.threads, threads, 1...1024)
    try check(.memoryInUsePercent, memoryInUsePercent, 1...100)
    try check(.memoryIdlePercent, memoryIdlePercent, 1...100)
    try check(.idleAfterSeconds, idleAfterSeconds, 1...86400)
    try check(.otherLoadPercent, otherLoadPercent, 0...100)
    try check(.cpuPressurePercent, cpuPressurePercent, 0...100)
    try check(.memoryPressurePercent, memoryPressurePercent, 0...100)
    try check(.temperatureCelsius, temperatureCelsius, 20...150)
    // A slower stream looks like a broken one: a piece of it may take longer than an answer may.
    try check(.downloadKilobytesPerSecond, downloadKilobytesPerSecond, 8...10_000_000)
    try check(.uploadKilobytesPerSecond, uploadKilobytesPerSecond, 8...10_000_000)
    try check(.monthlyMegabytes, monthlyMegabytes, 0...1_000_000_000)
    try check(.diskMegabytes, diskMegabytes, 0...1_000_000_000)
    try check(.diskPercent, diskPercent, 1...100)
    try check(.diskFreeMegabytes, diskFreeMegabytes, 0...1_000_000_000)
    try check(.wattsPerCore, wattsPerCore, 1...500)
  }

  private func check(
    _ key: CodingKeys, _ value: Int?, _ range: ClosedRange<Int>
  ) throws(PreferenceError) {
    if let value, !range.contains(value) {
      throw PreferenceError(
        key: key.rawValue,
        reason: "\(value) is not between \(range.lowerBound) and \(range.upperBound)")
    }
  }
}
